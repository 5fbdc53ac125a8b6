package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"zenith/internal/pg"
)

// The shared catalogs that are read here, by their OIDs.
const (
	databaseRelation     pg.OID = 1262 // pg_database
	authIDRelation       pg.OID = 1260 // pg_authid
	subscriptionRelation pg.OID = 6100 // pg_subscription
)

// catalogRow is the data of a row of a catalog that begins with an OID and a name.
type catalogRow []byte

func (r catalogRow) oid() pg.OID       { return pg.OID(binary.LittleEndian.Uint32(r)) }
func (r catalogRow) i32(off int) int32 { return int32(binary.LittleEndian.Uint32(r[off:])) }

func (r catalogRow) name() string {
	name, _, _ := bytes.Cut(r[nameOffset:nameOffset+sizeofName], []byte{0})
	return string(name)
}

// sharedCatalogs reads shared catalogs of a data directory without a server.
type sharedCatalogs struct {
	files DataFiles
	clog  map[pg.TransactionID][]byte // segments of pg_xact that were read, by their number
}

// rows gives the rows of a catalog that are visible to a transaction that begins now, if they have at least
// size bytes of data.
func (c *sharedCatalogs) rows(relation pg.OID, size int) (rows []catalogRow, err error) {
	path, err := c.path("global", relation)
	if err != nil {
		return nil, err
	}
	return c.rowsOf(path, size)
}

// rowsOf is rows for the catalog in the file at path.
func (c *sharedCatalogs) rowsOf(path string, size int) (rows []catalogRow, err error) {
	heap, err := c.files.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for ; len(heap) >= pg.BlockSize; heap = heap[pg.BlockSize:] {
		page := pg.Page(heap[:pg.BlockSize])
		for off := pg.FirstOffsetNumber; off <= page.MaxOffset(); off++ {
			if !page.ItemID(off).IsNormal() {
				continue
			}
			tuple, err := page.Item(off)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if len(tuple) < sizeofHeapTupleHeader || len(tuple) < int(tuple[tupleHoff])+size {
				return nil, fmt.Errorf("%s: a row of %d bytes", path, len(tuple))
			}
			visible, err := c.visible(tuple)
			if err != nil {
				return nil, err
			}
			if visible {
				rows = append(rows, catalogRow(tuple[tuple[tupleHoff]:]))
			}
		}
	}
	return rows, nil
}

// path gives the file of a mapped catalog in a database's directory, or of a shared one in global: VACUUM
// FULL gives them another file, and the map says which (utils/cache/relmapper.c: a magic number, a count,
// and pairs of an OID and a file's number).
func (c *sharedCatalogs) path(dir string, relation pg.OID) (string, error) {
	const header, pair = 8, 8
	mapPath := dir + "/pg_filenode.map"
	m, err := c.files.ReadFile(mapPath)
	if err != nil {
		return "", err
	}
	if len(m) < header {
		return "", fmt.Errorf("%s has %d bytes", mapPath, len(m))
	}
	n := binary.LittleEndian.Uint32(m[4:])
	for m = m[header:]; n > 0 && len(m) >= pair; n, m = n-1, m[pair:] {
		if pg.OID(binary.LittleEndian.Uint32(m)) == relation {
			return fmt.Sprintf("%s/%d", dir, binary.LittleEndian.Uint32(m[4:])), nil
		}
	}
	return "", fmt.Errorf("%s does not say where relation %d is", mapPath, relation)
}

// What is looked at of a HeapTupleHeaderData (access/htup_details.h).
const (
	tupleXmax     = 4
	tupleInfomask = 20
	tupleHoff     = 22

	sizeofHeapTupleHeader = 23

	xmaxLockOnly  = 0x0080
	xminCommitted = 0x0100
	xminInvalid   = 0x0200 // with xminCommitted: frozen
	xmaxCommitted = 0x0400
	xmaxInvalid   = 0x0800
	xmaxIsMulti   = 0x1000
)

// visible is HeapTupleSatisfiesMVCC where no transaction runs. A multixact that is more than locks is taken
// as a deletion.
func (c *sharedCatalogs) visible(tuple []byte) (bool, error) {
	mask := binary.LittleEndian.Uint16(tuple[tupleInfomask:])
	switch {
	case mask&xminCommitted != 0:
	case mask&xminInvalid != 0:
		return false, nil
	default:
		made, err := c.committed(pg.TransactionID(binary.LittleEndian.Uint32(tuple)))
		if err != nil || !made {
			return false, err
		}
	}
	switch {
	case mask&(xmaxInvalid|xmaxLockOnly) != 0:
		return true, nil
	case mask&(xmaxCommitted|xmaxIsMulti) != 0:
		return false, nil
	}
	deleted, err := c.committed(pg.TransactionID(binary.LittleEndian.Uint32(tuple[tupleXmax:])))
	return !deleted, err
}

// Transactions in a segment of pg_xact, and in a byte of it (access/transam/clog.c).
const (
	xactsPerByte    = 4
	xactsPerSegment = pg.SLRUPagesPerSegment * pg.BlockSize * xactsPerByte
)

// committed is TransactionIdDidCommit. Transactions whose part of pg_xact was removed have committed: what
// aborted ones left was removed before that.
func (c *sharedCatalogs) committed(xid pg.TransactionID) (bool, error) {
	const firstNormal, stateBits, stateMask, stateCommitted = 3, 2, 3, 1
	if xid < firstNormal {
		return xid != 0, nil
	}
	segno := xid / xactsPerSegment
	segment, read := c.clog[segno]
	if !read {
		var err error
		if segment, err = c.files.ReadFile(fmt.Sprintf("pg_xact/%04X", uint32(segno))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		c.clog[segno] = segment
	}
	if segment == nil {
		return true, nil
	}
	at := int(xid % xactsPerSegment)
	if at/xactsPerByte >= len(segment) {
		return false, nil
	}
	return segment[at/xactsPerByte]>>(at%xactsPerByte*stateBits)&stateMask == stateCommitted, nil
}
