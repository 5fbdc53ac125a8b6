package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/tenants"
)

// copiesDir is the directory of the work directory that holds the copies: data directories that were
// exported from a point, on each of which a postgres runs here.
const copiesDir = "pg"

// copyFlag makes the flag --copy: postgres runs on this machine, on a copy of the point's data.
func copyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "copy", Usage: "on a copy of its data here, not on a mount (always so where the page server is on another machine)"}
}

// elsewhere reports whether the page server is on another machine. Then its paths and its loopback
// addresses mean nothing here, so nothing can be mounted and its postgres cannot be reached.
func (e *environ) elsewhere(ctx context.Context, s *session) (bool, error) {
	if e.local() {
		return false, nil
	}
	rows, err := s.Status(ctx)
	if err != nil {
		return false, err
	}
	here := tenants.Machine()
	for _, r := range rows {
		if r.Name == "machine" && r.Value == here && here != "" {
			return false, nil
		}
	}
	return true, nil
}

// needHere refuses a command if the page server is on another machine, where the command would take
// effect. what is the command; instead tells the user what to do.
func (e *environ) needHere(ctx context.Context, s *session, what, instead string) error {
	away, err := e.elsewhere(ctx, s)
	if err == nil && away {
		err = api.Errorf(api.ErrNotAllowed, "%s: the page server at %s is on another machine (%s)", what, s.cfg.PageServer, instead)
	}
	return err
}

// wantsCopy reports whether postgres is to run on a copy on this machine, instead of on a mount: the user
// asked for it, or the page server is on another machine.
func (e *environ) wantsCopy(ctx context.Context, c *cli.Context, s *session) (bool, error) {
	if c.Bool("copy") {
		return true, nil
	}
	return e.elsewhere(ctx, s)
}

// copies opens the copies of the work directory.
func (e *environ) copies(cfg *cliConfig) (*postgres.Copies, error) {
	workdir, err := e.absWorkdir()
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(workdir); err == nil { // the path that /proc shows as a server's directory
		workdir = real
	}
	user, err := e.pgUser(cfg)
	if err != nil {
		return nil, err
	}
	distribs, err := e.distribs(cfg)
	if err != nil {
		return nil, err
	}
	o := postgres.CopiesOptions{Dir: filepath.Join(workdir, copiesDir), Distribs: distribs, User: user}
	if e.local() {
		server, err := e.server()
		if err != nil {
			return nil, err
		}
		o.Accounts = server.Accounts.accounts()
	}
	return postgres.OpenCopies(o)
}

// pgUser gives the name of the account that runs postgres on this machine, if root runs zenith.
func (e *environ) pgUser(cfg *cliConfig) (string, error) {
	if !e.local() {
		return cfg.PgUser, nil
	}
	server, err := e.server()
	if err != nil {
		return "", err
	}
	return server.PgUser, nil
}

// source resolves the point called name to a timeline and an LSN, for a copy that will have that name.
// point is the same point with the LSN in it: it means the same state however the branch moves on.
func (s *session) source(ctx context.Context, name string) (src postgres.Source, point string, err error) {
	branch, _, _ := api.SplitPoint(name)
	src = postgres.Source{Tenant: s.tenant, Point: name}
	if src.LSN, err = s.LSN(ctx, s.tenant, name); err != nil {
		return src, "", err
	}
	list, err := s.BranchList(ctx, s.tenant)
	for _, b := range list {
		if b.Name == branch || b.TimelineID == branch {
			src.Timeline = b.TimelineID
			src.Version, err = pg.ByStoredMajor(b.Major)
		}
	}
	return src, api.Point{Name: branch, LSN: src.LSN}.String(), err
}

// fetch gives a function that exports the data of a point into a directory.
func (e *environ) fetch(ctx context.Context, s *session, point string) func(dir string) error {
	return func(dir string) error {
		tell, end := e.newProgress()
		defer end()
		return fillDir(dir, postgres.OwnAccount(), func(w io.Writer) error {
			return s.Export(ctx, s.tenant, point, api.ExportOptions{Progress: tell}, w)
		})
	}
}

// copyOf finds the copy that is called name, or makes it; made tells which.
func (e *environ) copyOf(ctx context.Context, s *session, cs *postgres.Copies, name string) (c *postgres.Copy, made bool, err error) {
	c, err = cs.Find(s.tenant, name)
	if !errors.Is(err, api.ErrNotFound) {
		return c, false, err
	}
	src, point, err := s.source(ctx, name)
	if err != nil {
		return nil, false, err
	}
	c, err = cs.Make(ctx, src, e.fetch(ctx, s, point))
	return c, true, err
}

// pgCopy is pg create and pg start on a copy: it makes the copy if there is none, and starts postgres on it
// if start is set.
func (e *environ) pgCopy(ctx context.Context, s *session, name string, o api.ComputeOptions, start bool) (cp api.Compute, err error) {
	cs, err := e.copies(s.cfg)
	if err != nil {
		return cp, err
	}
	c, made, err := e.copyOf(ctx, s, cs, name)
	if err == nil && !made && !start {
		err = api.Errorf(api.ErrExists, "pg %s: already exists", name)
	}
	if err == nil {
		if damage := c.Damage(); damage != nil {
			fmt.Fprintf(e.err, "zenith: pg %s: %v: its port and settings are lost, and which state it is a copy of\n", name, damage)
		}
		if start {
			err = c.Start(ctx, o)
		} else {
			err = c.Set(o)
		}
	}
	if err != nil && made && c != nil { // a copy that this call made does not stay behind half made
		err = errors.Join(err, c.Stop(context.WithoutCancel(ctx), api.StopOptions{Destroy: true}))
	}
	if err != nil {
		return cp, err
	}
	cp, err = c.Describe()
	if password := e.path(filepath.Join(tenantsDir, s.tenant, tenants.PasswordName)); err == nil && isFile(password) {
		cp.PasswordFile = password
	}
	if err == nil && cp.LSN != 0 { // a damaged copy does not know it any more
		fmt.Fprintf(e.err, "zenith: postgres %s is a copy, made at %v: what is written to it is not in the branch\n", name, cp.LSN)
	}
	return cp, err
}

// execCopy starts a throw-away postgres on a copy of a point, for pg exec. stop ends it and removes the copy.
func (e *environ) execCopy(ctx context.Context, s *session, name string, o api.ComputeOptions) (cp api.Compute, stop func(context.Context) error, err error) {
	cs, err := e.copies(s.cfg)
	if err != nil {
		return cp, nil, err
	}
	src, point, err := s.source(ctx, name)
	if err != nil {
		return cp, nil, err
	}
	return cs.Exec(ctx, src, e.fetch(ctx, s, point), o)
}

// findCopy finds the copy of that name; nil if there is none.
func (e *environ) findCopy(s *session, name string) (*postgres.Copy, error) {
	if !isDir(e.path(copiesDir)) {
		return nil, nil
	}
	cs, err := e.copies(s.cfg)
	if err != nil {
		return nil, err
	}
	c, err := cs.Find(s.tenant, name)
	if errors.Is(err, api.ErrNotFound) {
		return nil, nil
	}
	return c, err
}

// listCopies describes the tenant's copies, and the postgres on each.
func (e *environ) listCopies(s *session) (list []api.Compute, err error) {
	if !isDir(e.path(copiesDir)) {
		return nil, nil
	}
	cs, err := e.copies(s.cfg)
	if err != nil {
		return nil, err
	}
	all, err := cs.List(s.tenant)
	for _, c := range all {
		cp, derr := c.Describe()
		list, err = append(list, cp), errors.Join(err, derr)
	}
	return list, err
}

// isFile reports whether there is a file at a path.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
