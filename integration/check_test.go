package integration

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// needle is a text that a table has, by which the place of a record or an image is found in the files of WAL
// and of the store: its bytes are in both as they are.
type needle string

// in lists the places of the needle in the files below the work directory that match a pattern.
func (n needle) in(s *site, pattern string) (places []place) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.work, pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		for at := 0; ; {
			i := bytes.Index(b[at:], []byte(n))
			if i < 0 {
				break
			}
			places = append(places, place{name, int64(at + i)})
			at += i + 1
		}
	}
	if len(places) == 0 {
		s.t.Fatalf("%q is in none of %v", n, files)
	}
	return places
}

const (
	tables   = "tenants/*/store/*.sst"
	segments = "tenants/*/timelines/*/wal/*"
)

// place is the position of a byte in a file.
type place struct {
	file string
	at   int64
}

// flip inverts one bit of the byte. To flip it again repairs the damage.
func (p place) flip(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(p.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, p.at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, p.at); err != nil {
		t.Fatal(err)
	}
}

// clean expects `zenith check` to find no problem.
func (s *site) clean() {
	s.t.Helper()
	if out := s.ok("check"); !strings.HasSuffix(out, ": 0 problems") {
		s.t.Errorf("check: %s", out)
	}
}

// damaged expects `zenith check` to end with exit code 1 and to list problems, one line each. One of the lines
// must have all parts in it.
func (s *site) damaged(parts ...string) {
	s.t.Helper()
	r := s.run("check")
	lines := strings.Split(strings.TrimRight(r.out, "\n"), "\n")
	if r.code != 1 || len(lines) < 2 || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "zenith: check: ") {
		s.t.Errorf("check: exit %d, %q\n%s", r.code, r.err, r.out)
	}
	found := slices.ContainsFunc(lines, func(line string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
	})
	if !found {
		s.t.Errorf("check lacks a line with %q:\n%s", parts, r.out)
	}
}

// flush makes the page server write everything that it has in memory to the store.
func (s *site) flush() {
	s.t.Helper()
	s.ok("restart")
}

// readBlocks reads a file on a mount block by block, and gives those that are refused.
func readBlocks(t *testing.T, path string) (bad []int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for blk := range st.Size() / 8192 {
		_, err := f.ReadAt(make([]byte, 8192), blk*8192)
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Errorf("%s block %d: error %v, want EIO", path, blk, err)
		}
		if err != nil {
			bad = append(bad, blk)
		}
	}
	return bad
}

// TestCheck damages one file after the other. zenith check finds the damage, and a read of what was damaged
// gives an error.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.clean()
	main := s.start("main")
	s.sql(main, "CREATE TABLE filler AS SELECT g AS i, repeat('x', 100) AS t FROM generate_series(1, 10000) g",
		"CREATE TABLE t (s text)", "INSERT INTO t SELECT repeat('y', 900) FROM generate_series(1, 40) g",
		"SELECT pg_switch_wal()",
		"INSERT INTO t VALUES ('the needle in a big record' || repeat('z', 1500))",
		"INSERT INTO t VALUES ('the needle in a record')",
		"CREATE TABLE hot (s text)", "INSERT INTO hot VALUES ('the needle in an image')",
		"DO $$ BEGIN FOR i IN 1..140 LOOP INSERT INTO hot VALUES (i); END LOOP; END $$", // enough records for an image of the page to be stored
		"SELECT pg_switch_wal()", "INSERT INTO filler VALUES (0, 'in a third segment')")
	path, hot := s.sql(main, "SELECT pg_relation_filepath('t')"), s.sql(main, "SELECT pg_relation_filepath('hot')")
	filler := s.sql(main, "SELECT pg_relation_filepath('filler')")
	last := s.sql(main, "SELECT max((ctid::text::point)[0]) FROM t")
	s.ok("pg", "stop", "main")
	s.flush()
	s.clean()
	at := "main@" + s.lsn("main")

	read := func(t *testing.T, path, last string) {
		t.Helper()
		dir := s.mountDir(filepath.Base(t.Name()))
		s.ok("mount", at, dir)
		if bad := readBlocks(t, filepath.Join(dir, path)); len(bad) == 0 {
			t.Error("a damaged page is served")
		}
		if bad := readBlocks(t, filepath.Join(dir, filler)); len(bad) != 0 {
			t.Errorf("blocks %v of another relation cannot be read", bad)
		}
		s.ok("umount", dir)
		line := s.fails(1, "page", "dump", at, path, last)
		if block := "block " + last; !strings.Contains(line, block) {
			t.Errorf("the error does not name %s: %s", block, line)
		}
	}
	big := needle("the needle in a big record").in(s, segments)[0]
	record := needle("the needle in a record").in(s, segments)[0]
	image := needle("the needle in an image").in(s, tables)[0]
	name := filepath.Base(big.file)

	t.Run("WAL record", func(t *testing.T) {
		record.flip(t)
		defer record.flip(t)
		s.damaged("branch main", "segment "+name, "checksum")
	})
	t.Run("record behind an index entry", func(t *testing.T) {
		big.flip(t)
		defer big.flip(t)
		s.damaged("branch main: version of ", "checksum")
		read(t, path, last)
	})
	t.Run("missing segment", func(t *testing.T) {
		if err := os.Rename(big.file, big.file+".away"); err != nil {
			t.Fatal(err)
		}
		defer os.Rename(big.file+".away", big.file)
		s.flush() // the page server may have the file open
		s.damaged("branch main", "wal segment "+name+" is missing")
		s.damaged("branch main: version of ", "is not there")
	})
	t.Run("stored image", func(t *testing.T) {
		image.flip(t)
		defer image.flip(t)
		s.damaged("store's file "+image.file, "checksum")
		s.damaged("branch main: version of ", "value's checksum is wrong")
		s.flush()
		read(t, hot, "0")
		url := s.start("main")
		r := s.runCmd(exec.Command(program("psql"), url, "-XqAtc", "SELECT count(*) FROM hot"))
		if want := regexp.MustCompile("could not read blocks? 0"); r.code == 0 || !want.MatchString(r.err) {
			t.Errorf("postgres reads the damaged page: exit %d, %s%s", r.code, r.out, r.err)
		}
		s.want(url, "SELECT count(*) FROM filler", "10001")
		s.ok("pg", "stop", "main")
	})
	s.flush()
	s.clean()
}

// TestDamagedStoreAtStart: if a tenant's store cannot be opened, commands on that tenant say why, and other
// tenants can be used.
func TestDamagedStoreAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("stop")
	s.ok("start") // Badger has moved what init wrote from its log to a table
	files, err := filepath.Glob(filepath.Join(s.work, tables))
	if err != nil || len(files) == 0 {
		t.Fatalf("tables: %v, %v", files, err)
	}
	second := strings.Fields(s.ok("tenant", "create"))[3]
	s.ok("stop")
	st, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := place{files[0], st.Size() - 3} // in the table's footer, behind its index
	bad.flip(t)
	s.ok("start")
	for _, args := range [][]string{{"branch"}, {"check"}, {"lsn", "main"}} {
		if line := s.fails(1, args...); !strings.Contains(line, "store's file "+files[0]) {
			t.Errorf("%v: the error does not name the file: %s", args, line)
		}
	}
	s.ok("check", "--tenantid", second)
	s.ok("stop")
	bad.flip(t)
	s.ok("start")
	s.clean()
}

// TestDamagedWALAtStart: a branch whose WAL is damaged stops with a clear error, and other branches go on.
// Nothing is deleted.
func TestDamagedWALAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (s text)")
	s.ok("branch", "dev", "main")
	dev := s.start("dev")
	s.sql(dev, "INSERT INTO t VALUES ('the needle on dev')", "CREATE TABLE more AS SELECT generate_series(1, 10000)")
	kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
	bad := needle("the needle on dev").in(s, segments)[0]
	bad.flip(t)
	s.ok("start")

	line := s.fails(1, "lsn", "dev")
	if !strings.Contains(line, "dev") {
		t.Errorf("the error does not name the branch: %s", line)
	}
	s.fails(1, "pg", "start", "dev")
	s.damaged("branch dev", "checksum")
	main = s.start("main")
	s.sql(main, "INSERT INTO t VALUES ('main goes on')")
	s.ok("branch", "other", "main")
	s.want(s.start("other"), "SELECT count(*) FROM t", "1")

	bad.flip(t)
	s.want(s.start("dev"), "SELECT s FROM t", "the needle on dev")
	s.want(s.url("dev"), "SELECT count(*) FROM more", "10000")
}

// TestLostManifest loses the store's list of tables, and cuts it short: check says so, nothing is deleted,
// and check --repair makes it anew.
func TestLostManifest(t *testing.T) {
	s := newSite(t)
	for i := range 20 {
		s.ok("branch", "b"+string(rune('a'+i)), "main")
	}
	s.ok("stop")
	manifest := glob(t, filepath.Join(s.work, "tenants/*/store/MANIFEST"))[0]
	before := glob(t, filepath.Join(s.work, tables))
	half := func(name string) error {
		st, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.Truncate(name, st.Size()/2)
	}
	for _, damage := range []func(string) error{os.Remove, half} {
		if err := damage(manifest); err != nil {
			t.Fatal(err)
		}
		s.ok("start")
		if r := s.run("check"); r.code == 0 || !strings.Contains(r.err, "MANIFEST") {
			t.Errorf("check: exit %d, %q", r.code, r.err)
		}
		if now := glob(t, filepath.Join(s.work, tables)); !slices.Equal(now, before) {
			t.Errorf("tables %q, were %q", now, before)
		}
		if out := s.ok("check", "--repair"); !strings.HasSuffix(out, ": 0 problems") || !strings.Contains(out, "MANIFEST") {
			t.Errorf("check --repair: %s", out)
		}
		if out := s.ok("branch"); !strings.Contains(out, "bt") {
			t.Errorf("branches: %s", out)
		}
		s.ok("stop")
		before = glob(t, filepath.Join(s.work, tables))
	}
	s.ok("start")
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %d files", pattern, err, len(names))
	}
	return names
}
