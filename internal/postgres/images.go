package postgres

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"zenith/internal/heap"
	"zenith/internal/pg"
)

// The catalogs of a database that are read here, by their OIDs.
const (
	classRelation pg.OID = 1259 // pg_class, which is mapped
	amRelation    pg.OID = 2601 // pg_am
)

const (
	sizeofAM       = 73 // of a row of pg_am: OID, name, handler, type
	amType         = 72
	indexAM        = 'i'
	relFileNode    = 88 // in a row of pg_class
	sizeofClass    = 92 // as far as it is looked at
	firstNormalOID = 16384
)

// logWholePages are the access methods of extensions that are known to log a new page whole, also with
// full_page_writes=off: of bloom and of pgvector.
var logWholePages = []string{"bloom", "hnsw", "ivfflat"}

// NeedsImages gives the name of an access method in one of the databases of a data directory that may log a
// new page as its difference from zeros (RUM does), without asking for an image; "" if there is none. A stock
// standby cannot replay such a record unless full_page_writes=on adds the image.
func NeedsImages(files DataFiles) (string, error) {
	c := newSharedCatalogs(files)
	dirs, err := databaseDirs(files)
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		rows, err := c.accessMethods(dir)
		if err != nil {
			return "", err
		}
		for _, r := range rows {
			if r[amType] == indexAM && r.OID(0) >= firstNormalOID && !slices.Contains(logWholePages, r.Name(nameOffset)) {
				return r.Name(nameOffset), nil
			}
		}
	}
	return "", nil
}

// databaseDirs lists the directories of databases in all tablespaces.
func databaseDirs(files DataFiles) (dirs []string, err error) {
	parents := []string{"base"}
	spaces, err := list(files, "pg_tblspc")
	for _, s := range spaces {
		versions, lerr := list(files, path.Join("pg_tblspc", s))
		err = errors.Join(err, lerr)
		for _, v := range versions {
			parents = append(parents, path.Join("pg_tblspc", s, v))
		}
	}
	for _, p := range parents {
		names, lerr := list(files, p)
		err = errors.Join(err, lerr)
		for _, n := range names {
			if strings.Trim(n, "0123456789") == "" {
				dirs = append(dirs, path.Join(p, n))
			}
		}
	}
	return dirs, err
}

// list gives the names in a directory, none if it is not there.
func list(files DataFiles, dir string) ([]string, error) {
	names, err := files.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return names, err
}

// accessMethods gives the rows of a database's pg_am. It is where initdb put it, unless it was rewritten: then
// pg_class says where. A directory without catalogs has none: a database may have only some relations in a
// tablespace.
func (c *sharedCatalogs) accessMethods(dir string) ([]heap.Columns, error) {
	rows, err := c.rowsOf(path.Join(dir, amRelation.String()), sizeofAM)
	if !errors.Is(err, fs.ErrNotExist) {
		return rows, err
	}
	class, err := c.path(dir, classRelation)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err = c.rowsOf(class, sizeofClass)
	for _, r := range rows {
		if r.OID(0) == amRelation {
			return c.rowsOf(path.Join(dir, pg.OID(binary.LittleEndian.Uint32(r[relFileNode:])).String()), sizeofAM)
		}
	}
	return nil, err
}
