package main

import (
	"regexp"
	"runtime/debug"
	"strings"
)

// release is the version that `make build` found in git and gave to the linker; "" in a binary that
// `go build` or `go install` made.
var release string

// version names the source that this binary was built from, for --version and the page server's log: a
// release's tag, or devel+COMMIT, which ends in -dirty if there were changes that no commit has.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return versionOf(release, info)
}

// pseudoVersion matches the version that Go makes up for a commit without a tag, such as
// v0.0.0-20261130174600-0123456789ab or v1.2.4-0.20261130174600-0123456789ab+dirty.
var pseudoVersion = regexp.MustCompile(`[-.][0-9]{14}-([0-9a-f]{12})(\+dirty)?$`)

// versionOf is version for the linker's value and what Go stamps into each binary. Go knows a tag where the
// module was installed by its version, or built in a clone of which exactly a tag is checked out.
func versionOf(release string, info *debug.BuildInfo) string {
	module := info.Main.Version
	made := pseudoVersion.FindStringSubmatch(module)
	commit, dirty := vcsCommit(info)
	switch {
	case release != "":
		return release
	case strings.HasPrefix(module, "v") && made == nil && !strings.HasSuffix(module, "+dirty"):
		return module
	case commit == "" && made != nil:
		commit, dirty = made[1], made[2] != ""
	}
	version := "devel"
	if commit != "" {
		version += "+" + commit
	}
	if dirty {
		version += "-dirty"
	}
	return version
}

// vcsCommit gives the first twelve digits of the commit that was built, and whether there were changes
// beside it; "" where Go did not ask git (an exported tree, or -buildvcs=false).
func vcsCommit(info *debug.BuildInfo) (commit string, dirty bool) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	return commit, dirty
}
