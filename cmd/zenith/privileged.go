package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"zenith/internal/postgres"
	"zenith/internal/privileged"
)

// A page server that root starts has a helper process, this program again, which does what takes root and nothing
// else (internal/privileged). They are connected by a socketpair; the helper ends with the page server.

// helperFD is the descriptor at which a helper finds its socket.
const helperFD = 3

// thisProgram is this program's file, whatever its name is by now, and wherever another account may go.
const thisProgram = "/proc/self/exe"

func cmdPrivileged(e *environ) *cli.Command {
	return &cli.Command{
		Name: "privileged", Hidden: true, ArgsUsage: "RULES",
		Usage: "be the helper of a page server that root has started",
		Action: withArgs(1, 1, func(c *cli.Context) error {
			var rules privileged.Rules
			if err := json.Unmarshal([]byte(c.Args().First()), &rules); err != nil {
				return usagef("privileged: %v", err)
			}
			syscall.CloseOnExec(helperFD) // no server may talk to the helper
			return privileged.Serve(os.NewFile(helperFD, "page server"), rules)
		}),
	}
}

// rules says what the helper of a page server does, which runs as an account.
func (e *environ) rules(s *settings, server postgres.Account) (privileged.Rules, error) {
	workdir, err := filepath.EvalSymlinks(s.workdir)
	if err != nil {
		return privileged.Rules{}, err
	}
	as, err := postgres.LookupAccount(nil, s.PgUser)
	if err != nil {
		return privileged.Rules{}, err
	}
	r := privileged.Rules{
		WorkDir: workdir, Sockets: postgres.ShortSocketHome(server.UID), UID: server.UID, GID: server.GID,
	}
	own := []privileged.IDRange{{First: as.UID, Last: as.UID}}
	if ids := s.Accounts.accounts(); s.PgUser == "" && ids.Usable(nil) {
		// The files of users' mounts are the machine's postgres's, as which nothing is started: it has clusters of its own.
		r.Tenants, r.Guests, r.GuestGroups = []privileged.IDRange{ids.IDs()}, own, as.Groups()
	} else {
		r.Tenants, r.Groups = own, as.Groups()
	}
	for _, dir := range slices.Concat([]string{s.PgDistrib}, slices.Sorted(maps.Values(s.PgDistribs))) {
		if dir != "" {
			r.Bins = append(r.Bins, filepath.Join(dir, "bin"))
		}
	}
	return r, nil
}

// startHelper starts the helper, and gives this process's end of the socket. What the helper logs goes where this
// process's errors go.
func startHelper(r privileged.Rules) (socket *os.File, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start the privileged helper: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "helper"), os.NewFile(uintptr(pair[1]), "page server")
	cmd := exec.Command(thisProgram, "privileged", string(text))
	cmd.Args[0] = os.Args[0] // by its name a test's program knows that it is to be this one
	cmd.Dir, cmd.Stderr, cmd.ExtraFiles = "/", os.Stderr, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is for the page server, which ends it
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("start the privileged helper: %w", err), ours.Close())
	}
	return ours, nil
}

// privileges gives what does the privileged things for the page server: nothing for an ordinary user's, which may do
// no more than its user. One that root starts becomes its account's: then this does not return but start again, as
// that account, with the helper's socket.
func (e *environ) privileges(s *settings, o startOptions) (*privileged.Client, error) {
	if o.helper != 0 {
		syscall.CloseOnExec(o.helper)
		return privileged.NewClient(os.NewFile(uintptr(o.helper), "helper")), nil
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	// What whoever started this process has left open is neither the helper's nor a server's business.
	if err := unix.CloseRange(helperFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close inherited files: %w", err)
	}
	as, err := serverAccount(s.Account)
	if err != nil {
		return nil, err
	}
	if as.UID != 0 {
		if err := e.handOver(s, as); err != nil {
			return nil, err
		}
	}
	r, err := e.rules(s, as)
	if err != nil {
		return nil, err
	}
	socket, err := startHelper(r)
	if err != nil || as.UID == 0 {
		return privileged.NewClient(socket), err
	}
	fds := []int{int(socket.Fd())}
	if o.notify != 0 {
		fds = append(fds, o.notify)
	}
	return nil, errors.Join(become(as, append(os.Args[1:len(os.Args):len(os.Args)], "--helper-fd", strconv.Itoa(fds[0])), fds), socket.Close())
}

// stopWithout calls stop when the helper has ended before ctx does.
func stopWithout(ctx context.Context, helper *privileged.Client, stop func(), log *slog.Logger) {
	select {
	case <-helper.Gone():
		log.Error("the privileged helper has ended: the page server can mount and unmount nothing without, and stops")
		stop()
	case <-ctx.Done():
	}
}

// become makes this process one of an account, which starts this program anew, with arguments. The descriptors stay
// open for it. It does not return, unless it fails.
func become(as postgres.Account, args []string, fds []int) error {
	runtime.LockOSThread() // what follows is about a thread; the one that calls Exec is the one that is left
	err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), syscall.Setgroups([]int{as.GID}), syscall.Setresgid(as.GID, as.GID, as.GID), syscall.Setresuid(as.UID, as.UID, as.UID))
	for _, fd := range fds {
		_, ferr := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		err = errors.Join(err, ferr)
	}
	if err == nil {
		err = syscall.Exec(thisProgram, append(os.Args[:1:1], args...), os.Environ())
	}
	return fmt.Errorf("become %s: %w", as.Name, err)
}
