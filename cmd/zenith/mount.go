package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/privileged"
)

func cmdMount(e *environ) *cli.Command {
	return &cli.Command{
		Name: "mount", ArgsUsage: "[POINT] DIR",
		Usage: "show a point as a PostgreSQL data directory; without one, the tree of everything",
		Description: `DIR must be an empty directory of yours, or not there yet. On a mount no program can be run, and no file gives its
user rights (noexec, nosuid, nodev). Examples:

   zenith mount main /mnt/main               the head, writable: stock postgres starts on it
   zenith mount main@0/16B3748 /mnt/then     read-only, and the same for ever
   zenith mount main@-1h /mnt/try --scratch  writable, thrown away at umount
   zenith mount /mnt/all                     tenants, branches and timelines to walk through
   zenith mount list                         and why a file of a mount could not be read
   zenith umount /mnt/main`,
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.BoolFlag{Name: "scratch", Usage: "writable over any point; what is written goes at umount"},
		},
		Action: withArgs(1, 2, e.runMount),
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "what is mounted",
			Flags:  []cli.Flag{outputFlag()},
			Action: withArgs(0, 0, e.runMountList),
		}},
	}
}

func cmdUmount(e *environ) *cli.Command {
	return &cli.Command{
		Name: "umount", ArgsUsage: "DIR",
		Usage: "end a mount, also one that a killed page server left behind",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "lazy", Usage: "out of sight now, gone when its last user is"}},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			return e.runUmount(c, c.Args().First(), c.Bool("lazy"))
		}),
	}
}

func (e *environ) runMount(c *cli.Context) error {
	o := api.MountOptions{Scratch: c.Bool("scratch")}
	dir := c.Args().First()
	if c.NArg() == 2 {
		o.Point, dir = c.Args().Get(0), c.Args().Get(1)
	} else if o.Scratch {
		return usagef("mount --scratch: of which point?")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	o.Dir = abs
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if o.Point != "" {
			if err := s.needTenant(); err != nil {
				return err
			}
			o.Tenant = s.tenant
			if o.Point, err = e.point(ctx, s, o.Point); err != nil {
				return err
			}
		}
		if o.Point == "" && !isDir(dir) {
			if err := s.checkNotPoint(ctx, dir); err != nil {
				return err
			}
		}
		if err := e.needHere(ctx, s, "mount "+dir, "zenith export gives a directory here"); err != nil {
			return err
		}
		made, err := makeDir(abs)
		if err != nil {
			return err
		}
		m, err := s.Mount(ctx, o)
		if err != nil && made {
			err = errors.Join(err, os.Remove(abs))
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "mounted %s at %s\n", mounted(m), dir)
		return nil
	})
}

// makeDir makes the mount point if it is not there; the directory that it is in must be. It is the user's then, whose
// mount the page server takes no other directory for.
func makeDir(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, api.Errorf(api.ErrMountFailed, "mount point %s: no such directory", dir)
	}
	return err == nil, err
}

// checkNotPoint refuses `zenith mount POINT`, where DIR was left out. It is for a dir that is not there.
func (s *session) checkNotPoint(ctx context.Context, dir string) error {
	if s.tenant == "" {
		return nil
	}
	name, _, _ := api.SplitPoint(dir)
	branches, err := s.BranchList(ctx, s.tenant)
	for _, b := range branches {
		if b.Name == name || b.TimelineID == name {
			return usagef("mount %[1]s: there is no such directory, but a branch %[2]s: zenith mount %[1]s DIR", dir, b.Name)
		}
	}
	return err
}

// mounted describes what a mount shows: TIMELINE@LSN, or "all tenants" for the tree.
func mounted(m api.Mount) string {
	if m.LSN == nil {
		return "all tenants"
	}
	return m.Timeline + "@" + m.LSN.String()
}

// runUmount asks the page server to unmount dir. If the page server does not run, or does not know the
// mount, it may be one that a killed page server left in the kernel: runUmount removes that by itself.
func (e *environ) runUmount(c *cli.Context, dir string, lazy bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	err = e.withSession(c, func(ctx context.Context, s *session) error {
		if err := e.needHere(ctx, s, "umount "+dir, "so are its mounts"); err != nil {
			return err
		}
		return s.Umount(ctx, abs, lazy)
	})
	if err == nil || !e.local() || !(errors.Is(err, api.ErrUnavailable) || errors.Is(err, api.ErrNotFound)) {
		return err
	}
	cleaned, cleanErr := new(privileged.InProcess).CleanStale(abs)
	if cleanErr != nil {
		return api.Errorf(api.ErrMountFailed, "umount %s: %v", dir, cleanErr)
	}
	if cleaned {
		return nil
	}
	if there, mountErr := privileged.IsMounted(abs); mountErr == nil && !there {
		return api.Errorf(api.ErrNotFound, "umount %s: nothing of ours is mounted there", dir)
	}
	return err
}

var mountColumns = []column[api.Mount]{
	{name: "dir", text: func(m api.Mount) string { return m.Dir }},
	{name: "mode", text: func(m api.Mount) string { return m.Mode }},
	{name: "branch", text: func(m api.Mount) string { return m.Branch }},
	{name: "timeline", text: func(m api.Mount) string { return m.Timeline }},
	{name: "lsn", text: mountLSN},
	{name: "tenant", text: func(m api.Mount) string { return m.Tenant }, hidden: true},
	{name: "errors", number: func(m api.Mount) *int64 { return &m.Errors }},
	{name: "last_error", text: func(m api.Mount) string { return m.LastError }},
}

// mountLSN gives the LSN that a mount shows, "" for the tree of all states.
func mountLSN(m api.Mount) string {
	if m.LSN == nil {
		return ""
	}
	return m.LSN.String()
}

func (e *environ) runMountList(c *cli.Context) error {
	return list(e, c, e.withSession, func(ctx context.Context, s *session) ([]api.Mount, error) { return s.MountList(ctx) }, mountColumns)
}
