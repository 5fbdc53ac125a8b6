package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// DistribSettings are what the user has set about PostgreSQL installations. Directories are absolute.
type DistribSettings struct {
	Default string            // pg_distrib: the one of new clusters, of whatever major version; "": the newest that is found
	ByMajor map[string]string // pg_distribs: one for each major version
}

// Distribs finds the PostgreSQL installations of this machine. The installation of a major version is, by the
// first of these rules that gives one:
//
//  1. the directory that pg_distribs has for it,
//  2. the directory of pg_distrib, if it is of that version,
//  3. the place where packages of this system put that version,
//  4. the directory that the postgres in PATH belongs to, if it is of that version.
//
// What the user has set must be right: a wrong directory is an error, and later rules do not hide it. Of which
// version an installation is, its postgres is asked once, and again when that file has changed.
type Distribs struct {
	set DistribSettings

	mu    sync.Mutex
	asked map[string]askedRelease // by directory
}

// askedRelease is the answer of a postgres binary, and the file as it was then.
type askedRelease struct {
	file os.FileInfo
	release
}

// NewDistribs makes the finder. Nothing is looked for yet.
func NewDistribs(set DistribSettings) *Distribs {
	return &Distribs{set: set, asked: map[string]askedRelease{}}
}

// places are where packages put a major version, which stands for the %s: those of Debian and Ubuntu, of the
// Red Hat family, of SUSE, of Homebrew on ARM and on Intel.
var places = []string{
	"/usr/lib/postgresql/%s",
	"/usr/pgsql-%s",
	"/usr/lib/postgresql%s",
	"/opt/homebrew/opt/postgresql@%s",
	"/usr/local/opt/postgresql@%s",
}

// Rules by which an installation was found.
const (
	ruleDefault = "pg_distrib"
	ruleByMajor = "pg_distribs."
	rulePlace   = "well-known place"
	rulePath    = "PATH"
)

// candidate is a directory that may be an installation.
type candidate struct{ dir, rule string }

// isSet says whether the user has set it, so that it must be right.
func (c candidate) isSet() bool { return c.rule != rulePlace && c.rule != rulePath }

// candidates lists where an installation of v may be, in the order of the rules.
func (ds *Distribs) candidates(v *pg.Version) (all []candidate) {
	major := strconv.Itoa(v.Major)
	if dir := ds.set.ByMajor[major]; dir != "" {
		all = append(all, candidate{dir, ruleByMajor + major})
	}
	if ds.set.Default != "" {
		all = append(all, candidate{ds.set.Default, ruleDefault})
	}
	for _, place := range places {
		all = append(all, candidate{fmt.Sprintf(place, major), rulePlace})
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		all = append(all, candidate{filepath.Dir(filepath.Dir(path)), rulePath})
	}
	return all
}

// For finds the installation that runs data directories of v. ErrNotFound: there is none.
func (ds *Distribs) For(ctx context.Context, v *pg.Version) (Distrib, error) {
	f, err := ds.find(ctx, v)
	return Distrib{Version: v, Dir: f.Dir, Release: f.Release}, err
}

// find is For, and tells more of what it finds.
func (ds *Distribs) find(ctx context.Context, v *pg.Version) (found api.Distrib, err error) {
	major := strconv.Itoa(v.Major)
	for _, c := range ds.candidates(v) {
		r, err := ds.release(ctx, c.dir)
		switch {
		case err == nil && r.major == major:
			return api.Distrib{Major: v.Major, Release: r.name, Dir: c.dir, Rule: c.rule}, nil
		case err != nil && c.isSet():
			return found, fmt.Errorf("%s: %w", c.rule, err)
		case err == nil && c.rule == ruleByMajor+major:
			return found, api.Errorf(api.ErrBadArgument, "%s: %s is PostgreSQL %s", c.rule, c.dir, r.name)
		}
	}
	return found, api.Errorf(api.ErrNotFound, "no %v is installed here (install it, or set pg_distribs.%s to its directory in pageserver.toml; zenith pg distribs lists what there is)", v, major)
}

// Default finds the installation that makes new clusters: the one that is set, else the newest that is found.
// A beta or a release candidate is the default only if it is set, or if there is nothing else.
func (ds *Distribs) Default(ctx context.Context) (Distrib, error) {
	if dir := ds.set.Default; dir != "" {
		v, err := ds.version(ctx, dir)
		return Distrib{Version: v, Dir: dir}, err
	}
	var newest, unfinished *Distrib
	for _, v := range pg.Versions { // oldest first
		found, err := ds.find(ctx, v)
		if errors.Is(err, api.ErrNotFound) {
			continue
		}
		if err != nil {
			return Distrib{}, err
		}
		d := &Distrib{Version: v, Dir: found.Dir}
		if (release{name: found.Release}).isFinal() {
			newest = d
		} else {
			unfinished = d
		}
	}
	switch {
	case newest != nil:
		return *newest, nil
	case unfinished != nil:
		return *unfinished, nil
	}
	return Distrib{}, api.Errorf(api.ErrNotFound, "no PostgreSQL from %d to %d is installed here: install one, or name its directory with --pg-distrib DIR",
		pg.Versions[0].Major, pg.Versions[len(pg.Versions)-1].Major)
}

// Check makes sure that what the user has set is right.
func (ds *Distribs) Check(ctx context.Context) error {
	if ds.set.Default != "" {
		if _, err := ds.version(ctx, ds.set.Default); err != nil {
			return err
		}
	}
	for major := range ds.set.ByMajor {
		v, err := pg.ParseMajor(major)
		if err != nil {
			return fmt.Errorf("pg_distribs.%s: %w", major, err)
		}
		if _, err := ds.find(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// version gives the version of the installation in dir, which must be one that zenith supports.
func (ds *Distribs) version(ctx context.Context, dir string) (*pg.Version, error) {
	r, err := ds.release(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("pg-distrib %w", err)
	}
	v, err := pg.ParseMajor(r.major)
	if err != nil {
		return nil, api.Errorf(api.ErrBadArgument, "pg-distrib %s: is PostgreSQL %s, zenith knows %s", dir, r.name, supportedMajors())
	}
	return v, nil
}

// supportedMajors lists the major versions: "14, 15, 16".
func supportedMajors() string {
	var all []string
	for _, v := range pg.Versions {
		all = append(all, strconv.Itoa(v.Major))
	}
	return strings.Join(all, ", ")
}

// release asks the postgres in dir of which release it is, unless its file is the one that was asked before.
func (ds *Distribs) release(ctx context.Context, dir string) (release, error) {
	fi, err := os.Stat(Distrib{Dir: dir}.bin("postgres"))
	if errors.Is(err, fs.ErrNotExist) {
		return release{}, fmt.Errorf("%s: no bin/postgres there", dir)
	}
	if err != nil {
		return release{}, err
	}
	ds.mu.Lock()
	known, found := ds.asked[dir]
	ds.mu.Unlock()
	if found && os.SameFile(known.file, fi) && known.file.Size() == fi.Size() && known.file.ModTime().Equal(fi.ModTime()) {
		return known.release, nil
	}
	r, err := readRelease(ctx, dir)
	if err != nil {
		return release{}, err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.asked[dir] = askedRelease{fi, r}
	return r, nil
}

// List gives, for each supported major version, the installation that its data directories run on, and why the
// user's setting for it does not work if it does not. Versions of which there is nothing are left out.
func (ds *Distribs) List(ctx context.Context) (list []api.Distrib) {
	first, defaultErr := ds.Default(ctx)
	for _, v := range pg.Versions {
		d, err := ds.find(ctx, v)
		if errors.Is(err, api.ErrNotFound) {
			continue
		}
		if err != nil {
			d = api.Distrib{Major: v.Major, Problem: err.Error()}
		}
		d.Default = defaultErr == nil && first.Version == v
		list = append(list, d)
	}
	return list
}
