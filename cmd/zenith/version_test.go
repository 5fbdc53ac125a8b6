package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// TestVersionOf has what Go stamps into a binary in each way to build one.
func TestVersionOf(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, tt := range []struct {
		built                     string
		release, module           string
		revision, modified, wants string
	}{
		{"make build at a tag", "v1.2.0", "(devel)", "", "", "v1.2.0"},
		{"make build at a commit", "devel+abcdefabcdef", "v0.0.0-20261130174600-0123456789ab", commit, "false", "devel+abcdefabcdef"},
		{"go build at a tag", "", "v1.2.0", commit, "false", "v1.2.0"},
		{"go build at a tag, changed", "", "v1.2.0+dirty", commit, "true", "devel+0123456789ab-dirty"},
		{"go build at a commit", "", "v0.0.0-20261130174600-0123456789ab", commit, "false", "devel+0123456789ab"},
		{"go build, changed", "", "v1.2.1-0.20261130174600-0123456789ab+dirty", commit, "true", "devel+0123456789ab-dirty"},
		{"go build by an old go", "", "(devel)", commit, "false", "devel+0123456789ab"},
		{"go build without git", "", "(devel)", "", "", "devel"},
		{"go install of a tag", "", "v1.2.0", "", "", "v1.2.0"},
		{"go install of a pre-release", "", "v1.2.0-rc.1", "", "", "v1.2.0-rc.1"},
		{"go install of a commit", "", "v0.0.0-20261130174600-0123456789ab", "", "", "devel+0123456789ab"},
		{"no build information", "", "", "", "", "devel"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: tt.module}}
		if tt.revision != "" {
			info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: tt.revision}, {Key: "vcs.modified", Value: tt.modified}}
		}
		if got := versionOf(tt.release, info); got != tt.wants {
			t.Errorf("%s: got %q, want %q", tt.built, got, tt.wants)
		}
	}
}

// TestVersionScript follows a repository through commits and a tag: what `make build` gives to the linker.
func TestVersionScript(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("../../.ci/version")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		// A hook that runs the tests has variables set that name its own repository.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git := func(args ...string) {
		run("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t"}, args...)...)
	}
	wants := func(when, pattern string) {
		t.Helper()
		if got := run(filepath.Join(dir, ".ci/version")); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
			t.Errorf("%s: got %q, want %s", when, got, pattern)
		}
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	write(".ci/version", string(script), 0o755)
	wants("exported tree", "devel")
	git("init", "-q")
	wants("no commit", "devel")
	git("add", ".")
	git("commit", "-qm", "one")
	wants("commit", `devel\+[0-9a-f]{12}`)
	git("tag", "-a", "v1.2.0", "-m", "one")
	wants("tag", `v1\.2\.0`)
	write("file", "x", 0o644)
	wants("changed", `devel\+[0-9a-f]{12}-dirty`)
	git("add", ".")
	git("commit", "-qm", "two")
	wants("commit after the tag", `devel\+[0-9a-f]{12}`)
	write("part/.ci/version", string(script), 0o755)
	if got := run(filepath.Join(dir, "part/.ci/version")); got != "devel" {
		t.Errorf("exported into another repository: got %q, want devel", got)
	}
}
