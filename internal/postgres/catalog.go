package postgres

import (
	"errors"
	"fmt"
	"io/fs"

	"zenith/internal/heap"
	"zenith/internal/pg"
)

// The shared catalogs that are read here, by their OIDs.
const (
	databaseRelation     pg.OID = 1262 // pg_database
	authIDRelation       pg.OID = 1260 // pg_authid
	subscriptionRelation pg.OID = 6100 // pg_subscription
)

// sharedCatalogs reads shared catalogs of a data directory without a server.
type sharedCatalogs struct {
	files DataFiles
	xacts *heap.Xacts
}

func newSharedCatalogs(files DataFiles) *sharedCatalogs {
	return &sharedCatalogs{files, heap.NewXacts(func(segno uint32) ([]byte, error) {
		segment, err := files.ReadFile(fmt.Sprintf("%s/%04X", pg.SLRUXact.Dir(), segno))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return segment, err
	})}
}

// rows gives the rows of a catalog that are visible to a transaction that begins now, if they have at least
// size bytes of data.
func (c *sharedCatalogs) rows(relation pg.OID, size int) (rows []heap.Columns, err error) {
	path, err := c.path("global", relation)
	if err != nil {
		return nil, err
	}
	return c.rowsOf(path, size)
}

// rowsOf is rows for the catalog in the file at path.
func (c *sharedCatalogs) rowsOf(path string, size int) (rows []heap.Columns, err error) {
	file, err := c.files.ReadFile(path)
	if err != nil {
		return nil, err
	}
	err = heap.Rows(file, c.xacts, size, func(row heap.Columns) { rows = append(rows, row) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// path gives the file of a mapped catalog in a database's directory, or of a shared one in global: VACUUM
// FULL gives them another file, and the map says which.
func (c *sharedCatalogs) path(dir string, relation pg.OID) (string, error) {
	mapPath := dir + "/pg_filenode.map"
	m, err := c.files.ReadFile(mapPath)
	if err != nil {
		return "", err
	}
	number, err := heap.Mapped(m, relation)
	if err == nil && number == 0 {
		err = fmt.Errorf("it does not say where relation %d is", relation)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", mapPath, err)
	}
	return fmt.Sprintf("%s/%d", dir, number), nil
}
