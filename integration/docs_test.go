package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs runs the sessions of the documentation. In a console block, a line that begins with "$ " is a command
// for a shell; the lines that follow are its output, in which "..." stands for anything, and "(exit N)" for its
// exit code.
func TestDocs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"multitenancy.md", "access.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("../docs", name))
			if err != nil {
				t.Fatal(err)
			}
			s := emptySite(t)
			addr := freeAddress(t)
			_, port, _ := strings.Cut(addr, ":")
			steps := session(strings.NewReplacer("127.0.0.1:6400", addr, "port=6400", "port="+port).Replace(string(text)))
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

// session gives the commands of all console blocks of a document.
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

// try runs a command as a reader of the document would: zenith and PostgreSQL's programs are in PATH.
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
