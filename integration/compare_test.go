package integration

import (
	"bytes"
	enc "encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/walredo"
)

const (
	pageHeader   = 24
	sequenceData = 24 // last_value, log_cnt, is_called, aligned
)

// comparison compares a data directory that postgres wrote with the one that is composed from the history at
// the same LSN.
type comparison struct {
	t              *testing.T
	version        *pg.Version // of both directories
	wrote, rebuilt string
	raw            bool // no masks: both directories were made from WAL, so they must be equal to the byte
	files          int  // number of files compared
	pages, equal   int  // number of pages compared, and of those that are equal without a mask
	differ         int  // number of differences
}

// compareFiles compares the pages that postgres wrote with those that follow from its WAL. The masks hide what
// PostgreSQL's own consistency check hides: hint bits and free space.
func compareFiles(t *testing.T, wrote, rebuilt string) {
	t.Helper()
	c := comparison{t: t, wrote: wrote, rebuilt: rebuilt}
	c.run()
	t.Logf("%d pages compared, %d of them equal before masks, %d differ", c.pages, c.equal, c.differ)
}

func (c *comparison) run() {
	c.t.Helper()
	c.version = versionOf(c.t, c.wrote)
	for _, p := range c.paths(c.wrote) {
		c.file(p)
	}
	for _, p := range c.paths(c.rebuilt) {
		if _, err := os.Stat(filepath.Join(c.wrote, p)); errors.Is(err, fs.ErrNotExist) {
			c.fail("%s: postgres has no such file", p)
		}
	}
	if c.pages < 1000 {
		c.t.Error("too few pages for a data directory")
	}
}

// versionOf reads of which major version a data directory is.
func versionOf(t *testing.T, dir string) *pg.Version {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := pg.ParseMajor(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (c *comparison) fail(format string, args ...any) {
	c.t.Helper()
	if c.differ++; c.differ <= 40 {
		c.t.Errorf(format, args...)
	}
}

// paths lists the files whose whole content follows from WAL.
func (c *comparison) paths(dir string) (found []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		p := c.version.ParsePath(rel)
		switch p.Kind {
		case pg.PathRelation:
			init := p.Fork
			init.Fork = pg.InitFork
			_, err := os.Stat(filepath.Join(dir, c.version.RelPath(init, 0)))
			if unlogged := err == nil; p.Fork.Fork != pg.FSMFork && (!unlogged || p.Fork.Fork == pg.InitFork) {
				found = append(found, rel)
			}
		case pg.PathSLRU, pg.PathRelMap, pg.PathDBVersion, pg.PathTwoPhase:
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return found
}

// file compares one file, page by page.
func (c *comparison) file(path string) {
	c.files++
	a := c.read(c.wrote, path)
	b := c.read(c.rebuilt, path)
	p := c.version.ParsePath(path)
	if p.Kind != pg.PathRelation && p.Kind != pg.PathSLRU {
		if !bytes.Equal(a, b) {
			c.fail("%s: differs", path)
		}
		return
	}
	if len(b) > len(a) || !unwritten(a[len(b):]) || c.raw && len(a) != len(b) {
		c.fail("%s: %d bytes, rebuilt %d", path, len(a), len(b))
		return
	}
	for off := 0; off < len(b); off += pg.BlockSize {
		x, y := pg.Page(a[off:off+pg.BlockSize]), pg.Page(b[off:off+pg.BlockSize])
		c.pages++
		if bytes.Equal(x, y) {
			c.equal++
			continue
		}
		lsns := fmt.Sprintf("LSN %v, rebuilt %v", x.LSN(), y.LSN())
		kind := "unmasked"
		if !c.raw {
			kind = maskPage(c.version, p, x, y, pg.BlockNumber(off/pg.BlockSize))
		}
		if !bytes.Equal(x, y) {
			at := 0
			for x[at] == y[at] {
				at++
			}
			c.fail("%s block %d (%s), %s: differs from byte %d on", path, off/pg.BlockSize, kind, lsns, at)
		}
	}
}

// unwritten reports whether pages at the end of a file are empty. postgres may have extended the file and put
// nothing into it yet: WAL does not say so.
func unwritten(tail []byte) bool {
	for ; len(tail) > 0; tail = tail[pg.BlockSize:] {
		page := pg.Page(tail[:pg.BlockSize])
		if len(bytes.Trim(page[pageHeader:], "\x00")) > 0 {
			return false
		}
	}
	return true
}

// read gives a file's content. A file that does not exist is taken for an empty one: postgres truncates a
// dropped relation's first file long before it removes it.
func (c *comparison) read(dir, path string) []byte {
	f, err := os.Open(filepath.Join(dir, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		c.t.Fatal(err)
	}
	return content
}

// maskPage overwrites hint bits and free space on two images of a page, so that they can be compared. It gives
// the kind of the page, for messages.
func maskPage(v *pg.Version, p pg.Path, x, y pg.Page, blk pg.BlockNumber) string {
	if p.Kind == pg.PathSLRU {
		return "SLRU"
	}
	for _, page := range []pg.Page{x, y} {
		page.SetChecksum(0)
	}
	if p.Fork.Fork == pg.VisibilityMapFork {
		// A visibility map may have fewer bits than are true. CREATE DATABASE logs images of the maps that it
		// copies without their bits, because all of a map is in what counts as the hole of its page.
		x.SetLSN(y.LSN())
		for i := pageHeader; i < pg.BlockSize; i++ {
			x[i] &= y[i]
		}
		return "visibility map"
	}
	if x.IsNew() || y.IsNew() {
		return "new"
	}
	rm := rmgrOf(y)
	walredo.Mask(v, rm, x, blk)
	walredo.Mask(v, rm, y, blk)
	switch {
	case rm == xlog.RmSeq:
		// WAL has a sequence's value some steps ahead of what postgres has on its page.
		clear(x[x.Special()-sequenceData : x.Special()])
		clear(y[y.Special()-sequenceData : y.Special()])
	case rm == xlog.RmSPGist && blk == 0:
		// Behind its magic number, SP-GiST's meta page is a cache of which pages have room.
		clear(x[pageHeader+4:])
		clear(y[pageHeader+4:])
		return "spgist meta page"
	}
	name, _ := walredo.Name(&xlog.Record{V: v, RmgrID: rm})
	return strings.ToLower(name)
}

// rmgrOf tells the access method of a page by its special area.
func rmgrOf(page pg.Page) xlog.RmgrID {
	id := enc.LittleEndian.Uint16(page[pg.BlockSize-2:])
	switch size := pg.BlockSize - int(page.Special()); {
	case size == 0:
		return xlog.RmHeap
	case size == 16 && id == 0xFF80:
		return xlog.RmHash
	case size == 16 && id == 0xFF81:
		return xlog.RmGist
	case size == 16:
		return xlog.RmBtree
	case size == 8 && id == 0xFF82:
		return xlog.RmSPGist
	case size == 8 && id >= 0xF091 && id <= 0xF093:
		return xlog.RmBRIN
	case size == 8 && enc.LittleEndian.Uint32(page[page.Special():]) == 0x1717:
		return xlog.RmSeq
	case size == 8 && id == 0xFF83:
		return xlog.RmGeneric
	default:
		return xlog.RmGin
	}
}
