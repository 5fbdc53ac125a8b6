package privileged

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a program to be started, in a session of its own and with "/" for its current directory.
type Command struct {
	Path string   // of the program, absolute
	Args []string // without the program's name
	Env  []string // all of its environment

	UID, GID int // the account; as whom this process runs if Own is set
	Groups   []uint32
	Own      bool // the program runs as whom this process runs

	Output *os.File // its output and its errors
	// DieWithParent has the kernel send SIGQUIT to the program when the process ends that has started it, even by
	// SIGKILL.
	DieWithParent bool
}

// Process is a program that was started.
type Process interface {
	PID() int
	// Wait waits for its end, and gives an error if it did not end well. It is called once.
	Wait() error
	// Signal sends it a signal. One that has ended is no error.
	Signal(sig syscall.Signal) error
}

// Start implements Helper.
func (p *InProcess) Start(c Command) (Process, error) {
	if err := p.rules.mayStart(c); err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env = "/", c.Env // the account may not be able to enter our directory
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !c.Own {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID), Groups: c.Groups}
	}
	if c.DieWithParent {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	}
	if err := startLasting(cmd); err != nil {
		return nil, err
	}
	return child{cmd}, nil
}

// child is a child of this process.
type child struct{ cmd *exec.Cmd }

func (c child) PID() int { return c.cmd.Process.Pid }

func (c child) Wait() error { return c.cmd.Wait() }

func (c child) Signal(sig syscall.Signal) error {
	if err := c.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// LivingIn implements Helper.
func (p *InProcess) LivingIn(dir string) (pids []int, err error) {
	if err := p.rules.mayLook(dir); err != nil {
		return nil, err
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	home := realHome(dir)
	for _, proc := range procs {
		pid, perr := strconv.Atoi(filepath.Base(proc))
		if cwd, lerr := os.Readlink(proc + "/cwd"); perr == nil && lerr == nil && cwd == home {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// realHome gives dir without symbolic links, as the kernel shows it in /proc. Its last name
// is not looked at: dir may be a mount whose server is dead, where that would fail.
func realHome(dir string) string {
	if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(real, filepath.Base(dir))
	}
	return dir
}

// StartOf is the kernel's start time of a process: with the pid it names one process for
// ever, though pids are used again. It is "" for a process that has ended.
func StartOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(stat), ") ") // the program's name, in parentheses, may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" { // a zombie has ended
		return ""
	}
	return fields[19]
}

// Signal implements Helper.
func (p *InProcess) Signal(pid int, start string, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if start == "" || StartOf(pid) != start { // looked at now, it is that of the process that fd stands for
		return nil
	}
	if err := p.rules.maySignal(pid, sig); err != nil {
		return err
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}
