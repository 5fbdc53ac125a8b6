package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs types the sessions of the documentation: what stands behind "$ " in a console block is run in
// a shell, and what follows it must come out, where "..." is anything. "(exit N)" is the exit code.
func TestDocs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"multitenancy.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("../docs", name))
			if err != nil {
				t.Fatal(err)
			}
			s := emptySite(t)
			steps := session(string(text))
			if len(steps) == 0 {
				t.Fatal("no command was found")
			}
			for _, step := range steps {
				s.try(step.command, step.out)
			}
		})
	}
}

// step is a command of a console block, and what it prints.
type step struct{ command, out string }

// session finds the commands of all console blocks.
func session(text string) (steps []step) {
	inside := false
	for line := range strings.Lines(text) {
		switch command, found := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case inside && found:
			steps = append(steps, step{command: strings.TrimSpace(command)})
		case inside && len(steps) > 0:
			steps[len(steps)-1].out += line
		}
	}
	return steps
}

// try runs a command as the reader would, who has zenith and PostgreSQL on the path.
func (s *site) try(command, want string) {
	s.t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+filepath.Join(pgDistrib, "bin")+":"+os.Getenv("PATH"))
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	got := string(out)
	if err != nil {
		got += "(exit " + strings.TrimPrefix(err.Error(), "exit status ") + ")\n"
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), regexp.QuoteMeta("..."), ".*")
	if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		s.t.Errorf("$ %s\ngot:\n%swant:\n%s", command, got, want)
	}
}
