package postgres

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"zenith/internal/pg"
)

// deepFiles are files whose directories are listed, too.
type deepFiles map[string]string

func (d deepFiles) ReadFile(name string) ([]byte, error) { return mapFiles(d).ReadFile(name) }

func (d deepFiles) List(dir string) (names []string, err error) {
	for path := range d {
		if rest, below := strings.CutPrefix(path, dir+"/"); below {
			name, _, _ := strings.Cut(rest, "/")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// TestNeedsImages looks for access methods that may log new pages without images: in every database, also where
// pg_am was rewritten; those of PostgreSQL, of tables, and those that are known are none.
func TestNeedsImages(t *testing.T) {
	const frozen, early = xminCommitted | xminInvalid | xmaxInvalid, 2
	am := func(oid pg.OID, name string, kind byte) []byte {
		return tuple(early, 0, frozen, oid, name, 1, 0, 0, 0, kind)
	}
	btree := am(403, "btree", 'i')
	class := make([]byte, relFileNode-68+4)
	binary.LittleEndian.PutUint32(class[relFileNode-68:], 17000)
	relmap := binary.LittleEndian.AppendUint32(nil, 0x592717)
	for _, n := range []uint32{1, 1259, 1259} {
		relmap = binary.LittleEndian.AppendUint32(relmap, n)
	}
	rewritten := deepFiles{
		"base/5/pg_filenode.map": string(relmap), "base/5/1259": heapOf(t, tuple(early, 0, frozen, amRelation, "pg_am", class...)),
		"base/5/17000": heapOf(t, btree, am(16390, "rum", 'i')),
	}
	for _, c := range []struct {
		name  string
		files deepFiles
		want  string
	}{
		{"no database", deepFiles{}, ""},
		{"PostgreSQL's own", deepFiles{"base/1/2601": heapOf(t, btree)}, ""},
		{"known ones", deepFiles{"base/1/2601": heapOf(t, btree, am(16390, "bloom", 'i'), am(16400, "columnar", 't'))}, ""},
		{"the second database", deepFiles{"base/1/2601": heapOf(t, btree), "base/5/2601": heapOf(t, btree, am(16390, "rum", 'i'))}, "rum"},
		{"of a tablespace", deepFiles{"pg_tblspc/16500/PG_15_202209061/16501/2601": heapOf(t, am(16390, "rum", 'i'))}, "rum"},
		{"a rewritten catalog", rewritten, "rum"},
		{"relations only", deepFiles{"base/5/16700": heapOf(t)}, ""},
	} {
		if got, err := NeedsImages(c.files); got != c.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
