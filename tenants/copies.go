package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Copies are postgres servers on ordinary data directories, each a copy of a point that a page
// server gave. They need no page server while they run, and outlive the process that started
// them. What is written to a copy is not in the branch.
type Copies struct {
	dir string
	pg  distrib
	as  account
}

// CopiesConfig says how they work.
type CopiesConfig struct {
	Dir       string // where they are, absolute; made when it is needed
	PgDistrib string // the PostgreSQL installation: has bin/postgres
	PgUser    string // whom postgres runs as where we are root; default postgres
}

// NewCopies makes one.
func NewCopies(cfg CopiesConfig) (*Copies, error) {
	as, err := lookupAccount(cfg.PgUser)
	if err != nil {
		return nil, err
	}
	return &Copies{dir: cfg.Dir, pg: distrib{cfg.PgDistrib}, as: as}, nil
}

// Source is the point that a copy is of.
type Source struct {
	Tenant   string
	Point    string // as the user wrote it: the copy's name
	Timeline string
	LSN      pg.LSN
}

// path is the directory of a tenant's copy of that name.
func (cs *Copies) path(tenant, name string) string {
	return filepath.Join(cs.dir, tenant, strings.NewReplacer("/", "_", "\x00", "").Replace(name))
}

// Find gives a copy by its name: ErrNotFound if there is none.
func (cs *Copies) Find(tenant, name string) (*Copy, error) {
	c := &Copy{cs: cs, dir: cs.path(tenant, name)}
	_, err := toml.DecodeFile(c.tomlPath(), &c.saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Errorf(api.ErrNotFound, "pg %s: no such postgres", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.tomlPath(), err)
	}
	return c, nil
}

// List gives a tenant's copies, sorted by name.
func (cs *Copies) List(tenant string) ([]*Copy, error) {
	entries, err := os.ReadDir(filepath.Join(cs.dir, tenant))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []*Copy
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), throwawayPrefix) {
			continue
		}
		c, ferr := cs.Find(tenant, e.Name())
		if errors.Is(ferr, api.ErrNotFound) {
			continue // being made, or left so
		}
		if err = errors.Join(err, ferr); ferr == nil {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Copy) int { return strings.Compare(a.saved.Point, b.saved.Point) })
	return list, err
}

// Make makes a copy: fetch fills its data directory, which is there and empty.
func (cs *Copies) Make(ctx context.Context, s Source, fetch func(dir string) error) (*Copy, error) {
	return cs.make(ctx, s, cs.path(s.Tenant, s.Point), fetch)
}

func (cs *Copies) make(ctx context.Context, s Source, dir string, fetch func(dir string) error) (c *Copy, err error) {
	if err := cs.pg.check(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return nil, err
	}
	if err := cs.as.canReach(dir); err != nil {
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
	c = &Copy{cs: cs, dir: dir, saved: savedCopy{
		Tenant: s.Tenant, Point: s.Point, Timeline: s.Timeline, LSN: s.LSN.String(), Settings: map[string]string{},
	}}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil {
		return nil, err
	}
	if err := fetch(c.dataDir()); err != nil {
		return nil, err
	}
	if err := cs.ownAll(dir); err != nil {
		return nil, err
	}
	return c, c.save()
}

// ownAll gives everything below dir, and dir, to the account.
func (cs *Copies) ownAll(dir string) error {
	if !cs.as.other {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, cs.as.uid, cs.as.gid)
	})
}
