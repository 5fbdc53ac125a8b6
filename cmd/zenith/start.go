package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdStart(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "start the page server; returns when it accepts connections",
		Description: `Its log is <workdir>/pageserver.log. With --foreground it stays in this process and logs to stderr,
as systemd and containers like it.`,
		Flags: startFlags(),
		Action: withArgs(0, 0, func(c *cli.Context) error {
			o, err := readStartOptions(c)
			if err != nil {
				return err
			}
			return e.runStart(c.Context, o)
		}),
	}
}

func cmdStop(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "stop",
		Usage: "stop every postgres, unmount everything, stop the page server; returns when it is gone",
		Flags: []cli.Flag{&cli.DurationFlag{Name: "timeout", Value: closeTimeout, Usage: "give up waiting after `DURATION`"}},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			return e.runStop(c.Context, c.Duration("timeout"))
		}),
	}
}

func cmdRestart(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "restart",
		Usage: "stop and start; what was mounted or ran stays down",
		Flags: startFlags(),
		Action: withArgs(0, 0, func(c *cli.Context) error {
			o, err := readStartOptions(c)
			if err != nil {
				return err
			}
			if _, running, err := probe(e.path(pidFileName)); err == nil && running {
				if err := e.runStop(c.Context, closeTimeout); err != nil {
					return err
				}
			}
			return e.runStart(c.Context, o)
		}),
	}
}

// runStart starts the daemon: it runs this program again, in a session of its own, and waits until the
// daemon reports through a pipe that it is ready or failed. With --foreground this process is the daemon.
func (e *environ) runStart(ctx context.Context, o startOptions) error {
	if o.foreground {
		return e.runDaemon(ctx, o)
	}
	s, err := e.settings(ctx, o)
	if err != nil {
		return err
	}
	e.warnDamage(s.damage)
	if pid, running, err := probe(e.path(pidFileName)); err != nil || running {
		return errors.Join(err, api.Errorf(api.ErrBusy, "%s: page server: already running, pid %d", e.workdir, pid))
	}
	word, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer word.Close()
	cmd, err := e.daemonCommand(s, o, write)
	err = errors.Join(err, write.Close())
	if err != nil {
		return err
	}
	// When ctx ends, a deadline in the past ends the wait for the daemon's line below.
	defer context.AfterFunc(ctx, func() { word.SetReadDeadline(time.Unix(1, 0)) })()
	line, readErr := bufio.NewReader(word).ReadString('\n')
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), cmd.Process.Signal(syscall.SIGTERM))
	}
	return e.started(cmd, strings.TrimSpace(line), readErr)
}

// daemonCommand starts the daemon's process, with the write end of a pipe, notify, to report to. Its stderr
// is the log, so that the text of a panic is in the log too.
func (e *environ) daemonCommand(s *settings, o startOptions, notify *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := openLog(e.path(logFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"--workdir", s.workdir}
	for _, f := range [][2]string{{"--log-format", e.logFormat}, {"--log-level", e.logLevel}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	args = append(args, "start", "--foreground", "--notify-fd", "3")
	for _, f := range [][2]string{{"--listen", o.listen}, {"--gateway", o.gateway}, {"--pg-distrib", o.distrib}, {"--pg-user", o.pgUser}, {"--account", o.account}, {"--max-lag", o.maxLag}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	cmd := exec.Command(self, args...)
	cmd.Env = withoutLibpq()
	cmd.Dir = s.workdir // the user's current directory may be on a file system that is to be unmounted
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{notify}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// started tells the user what the daemon reported: "ok ADDRESS", or an exit code and an error.
func (e *environ) started(cmd *exec.Cmd, line string, readErr error) error {
	word, rest, _ := strings.Cut(line, " ")
	if word == "ok" {
		fmt.Fprintf(e.out, "page server started at %s, pid %d\n", rest, cmd.Process.Pid)
		return cmd.Process.Release()
	}
	waitErr := cmd.Wait()
	code, err := strconv.Atoi(word)
	if readErr != nil || err != nil {
		return fmt.Errorf("the page server did not start: %v (see %s)", waitErr, e.path(logFile))
	}
	fmt.Fprintf(e.err, "zenith: %s\n", rest)
	return statusError(code)
}

// runStop asks the page server to end and waits until it is gone.
func (e *environ) runStop(ctx context.Context, timeout time.Duration) error {
	if _, err := e.server(); err != nil {
		return err
	}
	pid, running, err := probe(e.path(pidFileName))
	if err != nil {
		return err
	}
	if !running || pid == 0 {
		return fmt.Errorf("%s: the page server is not running", e.workdir)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	// FindProcess holds on to the process (a pidfd), not to its number, which another process may get. If
	// the pid file still is locked now, with the same number in it, that process is the page server.
	if again, running, err := probe(e.path(pidFileName)); err != nil || !running || again != pid {
		return errors.Join(err, fmt.Errorf("%s: the page server is not running", e.workdir))
	}
	if err := e.checkServerProcess(pid); err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the page server, pid %d: %w", pid, err)
	}
	if err := e.waitStopped(ctx, pid, timeout); err != nil {
		return err
	}
	fmt.Fprintln(e.out, "page server stopped")
	return nil
}

// waitStopped waits until the page server with that process id has given up the lock on the pid file.
func (e *environ) waitStopped(ctx context.Context, pid int, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		now, running, err := probe(e.path(pidFileName))
		if err != nil {
			return err
		}
		if !running || (now != pid && now != 0) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return api.Errorf(api.ErrTimeout, "%s: the page server, pid %d, still runs after %v (see %s)", e.workdir, pid, timeout, e.path(logFile))
			}
			return ctx.Err()
		}
	}
}
