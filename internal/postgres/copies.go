package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/pg"
)

// Copies are postgres servers on ordinary data directories, each a copy of a point that a page
// server gave. They need no page server while they run, and outlive the process that started
// them. What is written to a copy is not in the branch.
//
//	<dir>/<tenant>/<point>/copy.toml      what is kept of it: savedCopy
//	                      /data           the data directory
//	                      /run            the directory of the unix socket
//	                      /postgres.log
//	<dir>/<tenant>/.exec-<n>              a throw-away copy, Exec's
//	<dir>/<tenant>/.exec-<n>.lock         is locked as long as the process lives that uses it
//
// Of these only data and run belong to the account of the servers.
type Copies struct {
	dir      string
	distribs *Distribs
	as       func(tenant string) (Account, error) // the account of a tenant's servers
	timeouts Timeouts                             // of tests; zero: the defaults
}

// CopiesOptions say where copies are and how they run.
type CopiesOptions struct {
	Dir      string    // absolute; made when it is needed
	Distribs *Distribs // the PostgreSQL installations
	User     string    // the account that all servers run as where this process is root's; "": see Accounts
	// Accounts are those of the tenants' servers where this process is root's and User is "".
	Accounts AccountRange
}

// OpenCopies gives the copies in a directory.
func OpenCopies(o CopiesOptions) (*Copies, error) {
	cs := &Copies{dir: o.Dir, distribs: o.Distribs}
	if o.User == "" && o.Accounts.Usable(nil) {
		cs.as = func(tenant string) (Account, error) {
			dir := filepath.Join(o.Dir, tenant)
			if err := os.MkdirAll(dir, 0o711); err != nil {
				return Account{}, err
			}
			as, err := o.Accounts.Of(dir, dir, slog.New(slog.DiscardHandler))
			if err == nil {
				err = as.Enclose(dir)
			}
			return as, err
		}
		return cs, o.Accounts.Check()
	}
	as, err := LookupAccount(nil, o.User)
	cs.as = func(tenant string) (Account, error) {
		dir := filepath.Join(o.Dir, tenant)
		return as, errors.Join(os.MkdirAll(dir, 0o711), as.Enclose(dir))
	}
	return cs, err
}

// Source is the point that a copy is of.
type Source struct {
	Tenant   string
	Point    string // as the user wrote it: the copy's name
	Timeline string // its id
	LSN      pg.LSN
	Version  *pg.Version // of the branch's head; the data directory itself says which one the copy is
}

// ServerDir gives the name of the directory of the server that is called name. Different names have
// different directories: the slashes of a branch become "~", which no new name has, and those of
// an LSN "_". A name that would be too long for a file ends with its own hash.
func ServerDir(name string) string {
	branch, at, state := strings.Cut(name, "@")
	dir := strings.NewReplacer("~", "~~", "/", "~", "\x00", "").Replace(branch)
	if state {
		dir += "@" + strings.NewReplacer("/", "_", "\x00", "").Replace(at)
	}
	if len(dir) > longestDir {
		dir = fmt.Sprintf("%s~%x", dir[:longestDir-33], sha256.Sum256([]byte(name)))[:longestDir]
	}
	return dir
}

// longestDir bounds the name of a server's directory, in bytes.
const longestDir = 250

// ServerName undoes ServerDir, but for names that are too long.
func ServerName(dir string) string {
	branch, at, state := strings.Cut(dir, "@")
	name := strings.NewReplacer("~~", "~", "~", "/").Replace(branch)
	if !state {
		return name
	}
	if lsn := strings.Replace(at, "_", "/", 1); isLSN(lsn) {
		at = lsn
	}
	return name + "@" + at
}

func isLSN(s string) bool {
	_, err := pg.ParseLSN(s)
	return err == nil
}

// path is the directory of a tenant's copy of that name.
func (cs *Copies) path(tenant, name string) string {
	return filepath.Join(cs.dir, tenant, ServerDir(name))
}

// Find gives a copy by its name: ErrNotFound if there is none.
func (cs *Copies) Find(tenant, name string) (c *Copy, err error) {
	c = &Copy{cs: cs, dir: cs.path(tenant, name)}
	c.saved, err = copyKind.Read(c.tomlPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Errorf(api.ErrNotFound, "pg %s: no such postgres", name)
	}
	if err != nil {
		c.damage, c.saved = err, newCopy(Source{Tenant: tenant, Point: name})
	}
	return c, nil
}

// List gives a tenant's copies, sorted by name. One that is being made, or whose making was
// killed, is not among them.
func (cs *Copies) List(tenant string) ([]*Copy, error) {
	entries, err := os.ReadDir(filepath.Join(cs.dir, tenant))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []*Copy
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ThrowawayPrefix) || !e.IsDir() {
			continue
		}
		c, ferr := cs.Find(tenant, ServerName(e.Name()))
		if errors.Is(ferr, api.ErrNotFound) {
			continue
		}
		if err = errors.Join(err, ferr); ferr == nil {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Copy) int { return strings.Compare(a.saved.Point, b.saved.Point) })
	return list, err
}

// Make makes a copy, durably: fetch fills its data directory, which is there and empty. If it fails,
// nothing is left. ErrExists: there is a copy of that name.
func (cs *Copies) Make(ctx context.Context, s Source, fetch func(dir string) error) (*Copy, error) {
	c, err := cs.make(ctx, s, cs.path(s.Tenant, s.Point), fetch)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncFS(c.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

func (cs *Copies) make(ctx context.Context, s Source, dir string, fetch func(dir string) error) (c *Copy, err error) {
	// Before the data comes, which takes long.
	if _, err := cs.distribs.For(ctx, s.Version); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return nil, err
	}
	as, err := cs.as(s.Tenant)
	if err == nil {
		err = as.CheckReach(dir)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = api.Errorf(api.ErrExists, "pg %s: a copy is there already, or is being made (%s)", s.Point, dir)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	c = &Copy{cs: cs, dir: dir, saved: newCopy(s)}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil {
		return nil, err
	}
	if err := fetch(c.dataDir()); err != nil {
		return nil, err
	}
	if _, err := c.distrib(ctx); err != nil {
		return nil, err
	}
	if err := as.OwnAll(c.dataDir()); err != nil {
		return nil, err
	}
	return c, c.save()
}
