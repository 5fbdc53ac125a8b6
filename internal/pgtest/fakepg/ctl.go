package fakepg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var ctlSignals = map[string]syscall.Signal{"smart": syscall.SIGTERM, "fast": syscall.SIGINT, "immediate": syscall.SIGQUIT}

// runCtl is pg_ctl stop: it signals the postmaster of -D and waits, at most -t seconds, until
// that has removed its pid file or is gone.
func runCtl(args []string) error {
	if len(args) < 3 || args[2] != "stop" {
		return fmt.Errorf("want -D DIR stop, got %q", args)
	}
	path := filepath.Join(option(args, "-D"), "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return errors.New("PID file \"" + path + "\" does not exist")
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	sig, ok := ctlSignals[option(args, "-m")]
	if !ok {
		return fmt.Errorf("unrecognized shutdown mode %q", option(args, "-m"))
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("could not send stop signal (PID: %d): %w", pid, err)
	}
	seconds, err := strconv.Atoi(option(args, "-t"))
	if err != nil {
		seconds = 60
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if syscall.Kill(pid, 0) != nil {
			return nil
		}
	}
	return errors.New("server does not shut down")
}
