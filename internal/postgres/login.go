package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"zenith/internal/heap"
)

// Login is the role and the database with which a client can connect that knows nothing else of a server.
type Login struct{ User, Database string }

// UsualLogin is the login of a cluster that initdb has made for an account named postgres.
var UsualLogin = Login{User: "postgres", Database: "postgres"}

// FindLogin finds a superuser who may log in, the bootstrap superuser if that one may, and a database that
// can be connected to: postgres, or else the oldest that is no template, or else a template. It reads the
// shared catalogs of a data directory on which no server has written since it was started. Of a directory
// without them the login is the usual one.
func FindLogin(files DataFiles) (Login, error) {
	l := UsualLogin
	c := newSharedCatalogs(files)
	roles, err := c.rows(authIDRelation, sizeofAuthID)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("find the superuser: %w", err)
	}
	in, err := databaseLayoutOf(files)
	if err != nil {
		return l, err
	}
	databases, err := c.rows(databaseRelation, in.size)
	if err != nil {
		return l, fmt.Errorf("find a database to connect to: %w", err)
	}
	if role, ok := best(roles, roleRank); ok {
		l.User = role.Name(nameOffset)
	}
	if db, ok := best(databases, in.rank); ok {
		l.Database = db.Name(nameOffset)
	}
	return l, nil
}

// best gives the row of the lowest rank, the one with the lowest OID among several. Rows of rank 0 do not
// count.
func best(rows []heap.Columns, rank func(heap.Columns) int) (heap.Columns, bool) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r heap.Columns) bool { return rank(r) == 0 })
	if len(rows) == 0 {
		return nil, false
	}
	return slices.MinFunc(rows, func(a, b heap.Columns) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.OID(0), b.OID(0)))
	}), true
}

// bootstrapSuperuser is BOOTSTRAP_SUPERUSERID of pg_authid.h.
const bootstrapSuperuser = 10

// Where columns lie in the rows of pg_authid (catalog/pg_authid.h). An OID and a name come first in it and in
// pg_database.
const (
	nameOffset = 4

	rolSuper    = 68
	rolCanLogin = 72

	sizeofAuthID = 73 // as far as it is looked at
)

// databaseLayout says where columns lie in the rows of pg_database (catalog/pg_database.h).
type databaseLayout struct {
	isTemplate, allowConn, connLimit int
	size                             int // as far as it is looked at
}

// Up to PostgreSQL 14 the names of two locales come before these columns; since 15 they come behind.
var (
	databaseLayout14 = databaseLayout{isTemplate: 204, allowConn: 205, connLimit: 208, size: 212}
	databaseLayout15 = databaseLayout{isTemplate: 77, allowConn: 78, connLimit: 80, size: 84}
)

// databaseLayoutOf gives the layout in a data directory.
func databaseLayoutOf(files DataFiles) (databaseLayout, error) {
	text, err := files.ReadFile("PG_VERSION")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return databaseLayout{}, err
	}
	if strings.TrimSpace(string(text)) == "14" {
		return databaseLayout14, nil
	}
	return databaseLayout15, nil
}

// invalidDatabase is DATCONNLIMIT_INVALID_DB: a DROP DATABASE was interrupted.
const invalidDatabase = -2

func roleRank(r heap.Columns) int {
	super := r[rolSuper] != 0 && r[rolCanLogin] != 0
	switch {
	case super && r.OID(0) == bootstrapSuperuser:
		return 1
	case super:
		return 2
	case r.OID(0) == bootstrapSuperuser: // nobody can log in: the server will say so of this one
		return 3
	}
	return 0
}

func (in databaseLayout) rank(r heap.Columns) int {
	switch {
	case r[in.allowConn] == 0 || r.Int32(in.connLimit) == invalidDatabase:
		return 0
	case r.Name(nameOffset) == UsualLogin.Database:
		return 1
	case r[in.isTemplate] == 0:
		return 2
	}
	return 3
}
