package xlog_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/rmgrdesc"
	"zenith/internal/xlog"
)

// dumped is a record as pg_waldump -b tells it.
type dumped struct {
	rmgr, op, desc string
	facts          string // lengths, xid, LSNs and blocks, as describe gives them
}

var dumpLine = regexp.MustCompile(`^rmgr: (\S+) +len \(rec/tot\): +(\d+)/ *(\d+), tx: +(\d+), lsn: (\S+), prev (\S+), desc: (\S+) ?(.*)$`)

// parseDump takes pg_waldump's output apart.
func parseDump(t *testing.T, dump string) []dumped {
	t.Helper()
	var ds []dumped
	sc := bufio.NewScanner(strings.NewReader(dump))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if strings.HasPrefix(line, "\tblkref ") {
			ds[len(ds)-1].facts += "\n" + line
			continue
		}
		m := dumpLine.FindStringSubmatch(line)
		if m == nil {
			if len(ds) > 0 {
				ds[len(ds)-1].desc += "\n" + line
			}
			continue
		}
		ds = append(ds, dumped{rmgr: m[1], op: m[7], desc: m[8], facts: fmt.Sprintf("%s/%s xid %s at %s prev %s", m[2], m[3], m[4], m[5], m[6])})
	}
	return ds
}

func dumpLSN(l pg.LSN) string { return fmt.Sprintf("%X/%08X", uint32(l>>32), uint32(l)) }

// describe tells a record in the words of dumped.facts.
func describe(rec *xlog.Record) string {
	images := 0
	for i := range rec.Blocks {
		images += len(rec.Blocks[i].Image.Bytes)
	}
	s := fmt.Sprintf("%d/%d xid %d at %s prev %s", len(rec.Raw)-images, len(rec.Raw), rec.XID, dumpLSN(rec.StartLSN), dumpLSN(rec.Prev))
	for i := range rec.Blocks {
		b := &rec.Blocks[i]
		s += fmt.Sprintf("\n\tblkref #%d: rel %v fork %v blk %d", b.ID, b.Tag.RelFileLocator, b.Tag.Fork, b.Tag.Block)
		if !b.HasImage {
			continue
		}
		s += " (FPW)"
		if !b.Apply {
			s = strings.TrimSuffix(s, ")") + " for WAL verification)"
		}
		s += fmt.Sprintf("; hole: offset: %d, length: %d", b.Image.HoleOffset, b.Image.HoleLength)
		if m := methodOf(b.Image.Info); m != "" {
			s += fmt.Sprintf(", compression saved: %d, method: %s", pg.BlockSize-int(b.Image.HoleLength)-len(b.Image.Bytes), m)
		}
	}
	return s
}

func methodOf(info uint8) string {
	for bit, name := range map[uint8]string{xlog.ImagePGLZ: "pglz", xlog.ImageLZ4: "lz4", xlog.ImageZSTD: "zstd"} {
		if info&bit != 0 {
			return name
		}
	}
	return ""
}

// compare reads all of the WAL and asks that it is what pg_waldump says, record by
// record. It gives the records seen, by rmgr and operation.
func compare(t *testing.T, f fixture) map[string]int {
	t.Helper()
	ds := parseDump(t, f.dump)
	seen := map[string]int{}
	r := f.reader()
	var rec xlog.Record
	for i, d := range ds {
		if err := r.Next(&rec); err != nil {
			t.Fatalf("record %d of %d, %s/%s %s: %v", i, len(ds), d.rmgr, d.op, d.facts, err)
		}
		if got := describe(&rec); got != d.facts {
			t.Fatalf("record %d, %s/%s: got\n%s\nwant\n%s", i, d.rmgr, d.op, got, d.facts)
		}
		if got, want := description(&rec), strings.TrimRight(d.op+" "+d.desc, " "); got != want {
			t.Fatalf("%s/%s at %v: got\n%s\nwant\n%s", d.rmgr, d.op, rec.StartLSN, got, want)
		}
		seen[d.rmgr+"/"+d.op]++
	}
	if err := r.Next(&rec); err != io.EOF {
		t.Fatalf("behind the last record: %v", err)
	}
	return seen
}

// description is what we say of a record where pg_waldump has its operation and body. It
// comes out of this package's parsers.
func description(rec *xlog.Record) string {
	_, desc, _ := strings.Cut(rmgrdesc.Line(rec, time.UTC), "desc: ")
	desc, _, _ = strings.Cut(desc, ", blkref #")
	return strings.TrimRight(desc, " ")
}

// mustSee are the operations that the fixture is there for.
var mustSee = []string{
	"XLOG/CHECKPOINT_SHUTDOWN", "XLOG/CHECKPOINT_ONLINE", "XLOG/NEXTOID", "XLOG/SWITCH", "XLOG/PARAMETER_CHANGE",
	"XLOG/RESTORE_POINT", "XLOG/FPW_CHANGE", "XLOG/FPI",
	"Transaction/COMMIT", "Transaction/ABORT", "Transaction/PREPARE", "Transaction/COMMIT_PREPARED", "Transaction/ABORT_PREPARED",
	"Storage/CREATE", "Storage/TRUNCATE", "Tablespace/CREATE", "Tablespace/DROP", "RelMap/UPDATE", "Database/DROP",
	"MultiXact/CREATE_ID", "Standby/RUNNING_XACTS",
	"CommitTs/ZEROPAGE", "ReplicationOrigin/SET", "ReplicationOrigin/DROP", "LogicalMessage/MESSAGE",
}

func TestFixtureAgainstWaldump(t *testing.T) {
	seen := compare(t, loadFixture(t, "mixed"))
	for _, op := range mustSee {
		if seen[op] == 0 {
			t.Errorf("the fixture has no %s", op)
		}
	}
}

// A server that crashed within a record and went on is read past the rest of it.
func TestFixtureOverwritten(t *testing.T) {
	f := loadFixture(t, "overwritten")
	if seen := compare(t, f); seen["XLOG/OVERWRITE_CONTRECORD"] != 1 {
		t.Errorf("seen %v", seen)
	}
}

func TestServerAgainstWaldump(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	r := runMixed(t, `
CREATE DATABASE copied STRATEGY file_copy;
CREATE DATABASE logged STRATEGY wal_log;
DROP DATABASE copied;
`)
	seen := compare(t, newFixture(r.Recorded, r.dump))
	for _, op := range append([]string{"Database/CREATE_FILE_COPY", "Database/CREATE_WAL_LOG", "Database/DROP"}, mustSee...) {
		if seen[op] == 0 {
			t.Errorf("the server wrote no %s", op)
		}
	}
}

// The index that the fixture builds four times over is the same each time, however its
// images are compressed.
func TestImageCompressions(t *testing.T) {
	r := loadFixture(t, "mixed").reader()
	methods := map[[32]byte]map[string]bool{}
	images := map[string]int{}
	page := make(pg.Page, pg.BlockSize)
	var rec xlog.Record
	for r.Next(&rec) == nil {
		for i := range rec.Blocks {
			b := &rec.Blocks[i]
			if !b.HasImage {
				continue
			}
			for j := range page {
				page[j] = 0xEE
			}
			if err := b.Image.Restore(page); err != nil {
				t.Fatalf("%v at %v: %v", b.Tag, rec.StartLSN, err)
			}
			if page.Lower() < pg.PageHeaderSize || page.Lower() > page.Upper() || page.Upper() > page.Special() || page.Special() > pg.BlockSize {
				t.Fatalf("%v at %v: not a page: lower %d, upper %d, special %d", b.Tag, rec.StartLSN, page.Lower(), page.Upper(), page.Special())
			}
			m := methodOf(b.Image.Info)
			images[m]++
			if rec.RmgrID == xlog.RmXLOG && rec.Op() == xlog.XLOGFPI {
				sum := sha256.Sum256(page)
				if methods[sum] == nil {
					methods[sum] = map[string]bool{}
				}
				methods[sum][m] = true
			}
		}
	}
	same := 0
	for _, m := range methods {
		if len(m) == 4 {
			same++
		}
	}
	if same < 5 {
		t.Errorf("%d pages have images in all compressions; images: %v", same, images)
	}
}
