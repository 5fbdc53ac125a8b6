package integration

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var extensionNames = flag.String("extensions", "", "names of `extensions`, separated by commas, whose tests fail if they are not installed; those of others are skipped then")

// needExtension makes sure that a file of an extension is installed: of PostgreSQL 15, whose paths are Debian's.
func needExtension(t *testing.T, name, file string) {
	t.Helper()
	_, err := os.Stat(file)
	if must := slices.Contains(strings.Split(*extensionNames, ","), name); err != nil && must {
		t.Fatalf("extension %s: %v", name, err)
	}
	if err != nil {
		t.Skipf("needs extension %s: %v", name, err)
	}
}

// extension is one whose data is pages: an access method, or types that PostgreSQL's own ones index.
type extension struct {
	name    string
	images  bool     // a standby needs full_page_writes=on, and pg start sees to it
	setup   []string // makes tables and indexes
	write   string   // can be run again
	queries []string // that use the indexes
}

var extensionTable = []extension{
	{
		name:    "bloom",
		setup:   []string{"create table b (i int, j int, k text)", "create index bi on b using bloom (i, j)"},
		write:   "insert into b select g % 100, g % 7, md5(g::text) from generate_series(1, 5000) g; delete from b where i = 13; vacuum b",
		queries: []string{"select count(*), sum(j) from b where i = 42", "select count(*) from b where i = 13"},
	},
	{
		name:    "rum",
		images:  true,
		setup:   []string{"create table r (id serial, arr int[], doc tsvector)", "create index on r using rum (arr rum_anyarray_ops)", "create index on r using rum (doc rum_tsvector_ops)"},
		write:   "insert into r (arr, doc) select array[g % 100, (g * 7) % 1000], to_tsvector('simple', md5(g::text) || ' word' || g % 50) from generate_series(1, 1000) g; delete from r where id % 17 = 0; vacuum r",
		queries: []string{"select count(*) from r where arr && array[5, 17]", "select count(*), sum(id) from r where doc @@ 'word7'"},
	},
	{
		name:    "vector",
		setup:   []string{"create table v (id serial, e vector(3))", "create index on v using hnsw (e vector_l2_ops)", "create table w as select * from v", "create index on w using ivfflat (e vector_l2_ops)"},
		write:   "insert into v (e) select array[g % 10, g % 7, g % 3]::vector from generate_series(1, 500) g; insert into w select * from v; delete from v where id % 17 = 0; vacuum v",
		queries: []string{"select string_agg(d::text, ',') from (select round((e <-> '[1,2,3]')::numeric, 3) as d from v order by e <-> '[1,2,3]' limit 5) t", "select count(*) from w"},
	},
	{
		name: "postgis",
		setup: []string{"create table p (id serial, g geometry(point, 4326))", "create index on p using gist (g)", "create index on p using spgist (g)",
			"create index on p using brin (g)"},
		write:   "insert into p (g) select st_setsrid(st_makepoint(x % 180, x % 90), 4326) from generate_series(1, 3000) x; delete from p where id % 17 = 0; vacuum p",
		queries: []string{"select count(*), sum(id) from p where g && st_makeenvelope(10, 10, 20, 20, 4326)", "select round(st_distance(st_makepoint(0, 0), st_makepoint(3, 4)))"},
	},
}

// control is the file that CREATE EXTENSION reads.
func (e extension) control() string {
	return "/usr/share/postgresql/15/extension/" + e.name + ".control"
}

// TestExtensions has pages of extensions over kills, on branches, at points in the past, and on a stock standby.
func TestExtensions(t *testing.T) {
	for _, e := range extensionTable {
		t.Run(e.name, func(t *testing.T) {
			needExtension(t, e.name, e.control())
			t.Parallel()
			e.test(t)
		})
	}
}

func (e extension) test(t *testing.T) {
	s := replSite(t)
	main := s.start("main")
	s.sql(main, "create extension "+e.name+" cascade")
	s.ok("pg", "stop", "main")
	said := s.run("pg", "start", "main")
	if says := strings.Contains(said.err, "full_page_writes=on"); said.code != 0 || says != e.images {
		t.Fatalf("pg start: exit %d, says that it keeps full_page_writes on: %v, want %v: %s", said.code, says, e.images, said.err)
	}
	main = s.url("main")
	s.want(main, "show full_page_writes", map[bool]string{true: "on", false: "off"}[e.images])
	standby := s.standby("main")
	s.sql(main, e.setup...)
	ask := func(url string) string {
		var all []string
		for _, q := range e.queries {
			all = append(all, strings.TrimSpace(s.sql(url, "set enable_seqscan = off", q)))
		}
		return strings.Join(all, ";")
	}
	want := map[string]string{} // by LSN
	var last string
	for _, crash := range []func(){func() {}, s.killPostgres, s.killPageServer} {
		s.sql(main, strings.Split(e.write, "; ")...)
		last = ask(main)
		want[s.lsn("main")] = last
		crash()
		main = s.start("main")
		if got := ask(main); got != last {
			t.Errorf("after a crash: got %s, want %s", got, last)
		}
	}
	standby.follows(main)
	if got := ask(standby.url); got != last {
		t.Errorf("standby: got %s, want %s", got, last)
	}
	for lsn, want := range want {
		s.ok("branch", "dev", "main@"+lsn)
		dev := s.start("dev")
		if got := ask(dev); got != want {
			t.Errorf("branch of main@%s: got %s, want %s", lsn, got, want)
		}
		s.ok("pg", "stop", "dev")
		if got := s.exec("main@"+lsn, strings.Join(e.queries, ";")); strings.ReplaceAll(strings.TrimSpace(got), "\n", ";") != want {
			t.Errorf("main@%s: got %s, want %s", lsn, got, want)
		}
		s.ok("branch", "delete", "-f", "dev")
	}
	if e.images {
		s.ok("pg", "stop", "main")
		said := s.run("pg", "start", "main", "--set", "full_page_writes=off")
		if said.code != 0 || strings.Contains(said.err, "full_page_writes") {
			t.Errorf("pg start with full_page_writes=off: exit %d: %s", said.code, said.err)
		}
		main = s.url("main")
		s.want(main, "show full_page_writes", "off")
		// Now the WAL itself shows that the extension needs it.
		s.sql(main, append(strings.Split(e.write, "; "), "drop extension "+e.name+" cascade")...)
		s.ok("pg", "stop", "main")
		said = s.run("pg", "start", "main", "--unset", "full_page_writes")
		if said.code != 0 || !strings.Contains(said.err, "full_page_writes=on: an extension logs") {
			t.Errorf("pg start on WAL with new pages that have no image: exit %d: %s", said.code, said.err)
		}
	}
	s.ok("check")
}

// TestCron: jobs of pg_cron run on main, also after a kill, and on no copy.
func TestCron(t *testing.T) {
	if *extensionNames == "" {
		t.Skip("takes minutes: make extensions runs it")
	}
	needExtension(t, "pg_cron", "/usr/share/postgresql/15/extension/pg_cron.control")
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "alter system set shared_preload_libraries = pg_cron")
	s.ok("pg", "stop", "main")
	main = s.start("main")
	s.sql(main, "alter system set cron.use_background_workers = on")
	s.ok("pg", "stop", "main")
	main = s.start("main")
	s.sql(main, "create extension pg_cron", "create table ran (at timestamptz, pid int)",
		"select cron.schedule('* * * * *', 'insert into ran values (now(), pg_backend_pid())')")
	ran := func(url string) string { return s.sql(url, "select count(*) from ran") }
	const job = "select 1 from ran having count(*) > 0"
	eventually(t, "the job to run", func() bool { return s.sql(main, job) != "" })
	s.ok("branch", "dev", "main")
	dev := s.start("dev")
	copied := s.start("main@"+s.lsn("main"), "--copy")
	before := []string{ran(dev), ran(copied)}
	s.sql(main, "truncate ran")
	s.killPostgres()
	main = s.url("main")
	eventually(t, "the job to run again", func() bool { return s.sql(main, job) != "" })
	for i, url := range []string{dev, copied} {
		if got := ran(url); got != before[i] {
			t.Errorf("the job has run on copy %d: %s rows, there were %s", i, got, before[i])
		}
	}
}

// TestWal2JSON: a consumer of a logical slot gets each change once over kills of postgres and of the page server.
func TestWal2JSON(t *testing.T) {
	needExtension(t, "wal2json", "/usr/lib/postgresql/15/lib/wal2json.so")
	t.Parallel()
	s := newSite(t)
	main := s.start("main", "--set", "wal_level=logical", "--set", "output_plugin_libraries=wal2json")
	s.sql(main, "create table t (i int primary key)")
	s.tool("pg_recvlogical", "-d", main, "--slot=json", "--plugin=wal2json", "--create-slot")
	at, got := "0/0", ""
	consume := func() { // up to the end of WAL, from where it was: a consumer keeps that itself, as its data
		end := s.sql(main, "select pg_current_wal_flush_lsn()")
		got += s.tool("pg_recvlogical", "-d", main, "--slot=json", "--start", "-o", "format-version=2", "-f", "-", "--startpos="+at, "--endpos="+end)
		at = end
	}
	sent := 0
	insert := func() {
		for range 10 {
			sent++
			s.sql(main, fmt.Sprintf("insert into t values (%d)", sent))
		}
	}
	for _, kill := range []func(){s.killPostgres, s.killPageServer, s.killPostgres} {
		insert()
		consume()
		insert()
		kill()
		main = s.start("main")
		insert()
		consume()
	}
	for i := 1; i <= sent; i++ {
		if n := strings.Count(got, fmt.Sprintf(`"value":%d}`, i)); n != 1 {
			t.Errorf("the consumer got change %d %d times", i, n)
		}
	}
}
