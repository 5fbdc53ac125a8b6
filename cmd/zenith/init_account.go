package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/durable"
	"zenith/internal/postgres"
	"zenith/internal/privileged"
)

// initAs is init by root for a page server with an account of its own: what it makes is made by a process of that
// account. This one makes the directory, and is the other's privileged helper until it ends.
func (e *environ) initAs(ctx context.Context, o initOptions, s *settings) (err error) {
	made, err := makeAccount(o.account)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(e.out, "made the account %s, as which the page server runs (init --account chooses another)\n", o.account)
	}
	as, err := serverAccount(o.account)
	if err == nil {
		err = e.refuseExisting()
	}
	if err != nil {
		return err
	}
	existed := isDir(e.workdir)
	if err := durable.MkdirAll(e.workdir, 0o711); err != nil {
		return err
	}
	defer func() {
		if err != nil && !existed {
			err = errors.Join(err, os.Remove(e.workdir))
		}
	}()
	if err := e.handOver(s, as); err != nil {
		return err
	}
	r, err := e.rules(s, as)
	if err != nil {
		return err
	}
	if err := e.runInitAs(ctx, o, s.tenant, as, r); err != nil {
		return err
	}
	return e.takeSettings(context.WithoutCancel(ctx), o, s, as)
}

// runInitAs runs this command again, as the account, and is its helper.
func (e *environ) runInitAs(ctx context.Context, o initOptions, tenant string, as postgres.Account, r privileged.Rules) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start the privileged helper: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "init"), os.NewFile(uintptr(pair[1]), "helper")
	defer ours.Close()
	cmd := exec.CommandContext(ctx, thisProgram, append(os.Args[1:len(os.Args):len(os.Args)], "--account", o.account, "--tenantid", tenant, "--helper-fd", "3")...)
	cmd.Args[0] = os.Args[0]
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, e.out, e.err
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(as.UID), Gid: uint32(as.GID), Groups: []uint32{uint32(as.GID)}}}
	if o.fromPGData != "" { // the user has named it, and it may be anybody's
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_READ_SEARCH}
	}
	if o.fromServer != "" {
		conninfo, err := pipeOf(o.fromServer)
		if err != nil {
			return errors.Join(err, theirs.Close())
		}
		defer conninfo.Close()
		cmd.Args, cmd.ExtraFiles = append(cmd.Args, "--conninfo-fd", "4"), append(cmd.ExtraFiles, conninfo)
	}
	// What whoever started this process has left open is not the account's business.
	if err := unix.CloseRange(helperFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return errors.Join(fmt.Errorf("close inherited files: %w", err), theirs.Close())
	}
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- privileged.Serve(ours, r) }() // ends with the process, which has the other end
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		err = statusError(exit.ExitCode()) // it has said why
	}
	return errors.Join(err, <-served)
}

// pipeOf gives the end of a pipe from which text can be read: unlike arguments, nobody else sees it.
func pipeOf(text string) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = write.WriteString(text) // shorter than what a pipe takes at once
	if err = errors.Join(err, write.Close()); err != nil {
		return nil, errors.Join(err, read.Close())
	}
	return read, nil
}

// readConninfo reads what pipeOf gave to a process that was started.
func readConninfo(fd int) (string, error) {
	f := os.NewFile(uintptr(fd), "conninfo")
	text, err := io.ReadAll(f)
	return strings.TrimSpace(string(text)), errors.Join(err, f.Close())
}
