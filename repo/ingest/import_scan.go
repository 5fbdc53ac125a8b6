package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/pg"
)

// source is a file of a data directory, or all segments of a relation's fork.
type source struct {
	path string     // below the data directory; of a fork: of its first segment
	fork pg.RelFork // of relations and SLRUs; else path is all there is
	page bool       // fork counts
	size int64      // in bytes, over all segments
	db   bool       // not a file but a database's directory: fork's
	data []byte     // the contents, if they are not those of a file
	from string     // where the file lies, if that is not path below the data directory
}

// compareSources orders by the place in history: pages by key, the rest before them.
func compareSources(a, b source) int {
	return cmp.Or(
		cmp.Compare(bit(a.page), bit(b.page)),
		cmp.Compare(a.fork.SpcOID, b.fork.SpcOID),
		cmp.Compare(a.fork.DBOID, b.fork.DBOID),
		cmp.Compare(a.fork.RelNumber, b.fork.RelNumber),
		cmp.Compare(a.fork.Fork, b.fork.Fork),
		cmp.Compare(a.path, b.path))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// leftBehind are the names at the top of a data directory that are not looked into:
// what is scanned in its own way, what belongs to a running server, and logs.
var leftBehind = []string{
	"base", "global", "pg_tblspc", "pg_twophase", "pg_xact", "pg_multixact", "pg_commit_ts", "pg_wal",
	"pg_dynshmem", "pg_logical", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat",
	"pg_stat_tmp", "pg_subtrans", "postmaster.pid", "postmaster.opts", "current_logfiles", "backup_manifest",
	"log", "pg_log", "lost+found",
}

// maxConfigFile bounds, in bytes, a file that PostgreSQL does not know. A file is read as a whole
// when it is imported and when it is used: what is bigger is no configuration, but a core dump or a
// backup that somebody put there.
const maxConfigFile = 64 << 20

// scanner walks a data directory.
type scanner struct {
	dir     string
	v       *pg.Version // whose data directory it is
	tli     pg.TLI      // the one that the server was on
	leftOut func(path, why string)
	list    []source
}

func (s *scanner) scan() error {
	for _, part := range []func() error{func() error { return s.config("") }, s.configElsewhere, s.histories, s.slots} {
		if err := part(); err != nil {
			return err
		}
	}
	for _, slru := range pg.SLRUs {
		if err := s.slru(slru); err != nil {
			return err
		}
	}
	if err := s.twoPhase(); err != nil {
		return err
	}
	if err := s.files("global", []string{"pg_control", "pg_filenode.map"}); err != nil {
		return err
	}
	if err := s.relations(database{spc: pg.GlobalTablespace}); err != nil {
		return err
	}
	if err := s.databases(pg.DefaultTablespace, "base"); err != nil {
		return err
	}
	return s.tablespaces()
}

// readDir lists a directory below the data directory; none is an empty one.
func (s *scanner) readDir(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// histories adds the history files of the server's timeline and of those that it came from. After a
// promotion, a server finds by them that WAL of the old timeline is its own too.
func (s *scanner) histories() error {
	entries, err := s.readDir("pg_wal")
	if err != nil {
		return err
	}
	names := []string{}
	for _, e := range entries {
		if tli, ok := pg.ParseHistoryName(e.Name()); ok && tli <= s.tli {
			names = append(names, e.Name())
		}
	}
	return s.files("pg_wal", names)
}

// slots tells which replication slots stay behind.
func (s *scanner) slots() error {
	entries, err := s.readDir("pg_replslot")
	for _, e := range entries {
		if e.IsDir() {
			s.leftOut("pg_replslot/"+e.Name(), "a replication slot, which holds WAL of the original for its consumer")
		}
	}
	return err
}

func (s *scanner) slru(slru pg.SLRU) error {
	entries, err := s.readDir(slru.Dir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := s.v.ParsePath(slru.Dir() + "/" + e.Name())
		if p.Kind != pg.PathSLRU {
			continue
		}
		if err := s.addFork(p.Fork); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) twoPhase() error {
	entries, err := s.readDir("pg_twophase")
	if err != nil {
		return err
	}
	names := []string{}
	for _, e := range entries {
		if s.v.ParsePath("pg_twophase/"+e.Name()).Kind == pg.PathTwoPhase {
			names = append(names, e.Name())
		}
	}
	return s.files("pg_twophase", names)
}

// files adds files that must be there.
func (s *scanner) files(dir string, names []string) error {
	for _, name := range names {
		info, err := os.Stat(filepath.Join(s.dir, dir, name))
		if err != nil {
			return err
		}
		s.list = append(s.list, source{path: dir + "/" + name, size: info.Size()})
	}
	return nil
}

// databases adds the databases' directories in dir, that of a tablespace.
func (s *scanner) databases(spc pg.OID, dir string) error {
	entries, err := s.readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := s.v.ParsePath(dir + "/" + e.Name())
		if p.Kind != pg.PathDatabase || !e.IsDir() {
			continue
		}
		d := database{spc, p.Fork.DBOID}
		s.list = append(s.list, source{path: dir + "/" + e.Name(), fork: p.Fork, db: true})
		if err := s.relations(d); err != nil {
			return err
		}
	}
	return nil
}

// tablespaces adds the tablespaces and what is in them. Each is a link to a directory,
// or a directory.
func (s *scanner) tablespaces() error {
	entries, err := s.readDir("pg_tblspc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		link := "pg_tblspc/" + e.Name()
		spc, ok := pg.ParseTablespacePath(link)
		if !ok {
			continue
		}
		dir := link + "/" + s.v.TablespaceDir()
		location := ""
		if e.Type()&fs.ModeSymlink != 0 {
			if location, err = os.Readlink(filepath.Join(s.dir, link)); err != nil {
				return err
			}
		}
		if _, err := os.Stat(filepath.Join(s.dir, dir)); err != nil {
			return fmt.Errorf("tablespace %v at %q: %v: %w", spc, location, err, ErrDamaged)
		}
		// In history, a file stands for the link: its content is the link's target.
		s.list = append(s.list, source{path: link, data: []byte(location + "\n")})
		if err := s.databases(spc, dir); err != nil {
			return err
		}
	}
	return nil
}

// relations adds what is in a database's directory: relations, save the contents of
// unlogged ones, and the files that history keeps.
func (s *scanner) relations(d database) error {
	dir := s.v.DatabasePath(d.spc, d.db)
	entries, err := s.readDir(dir)
	if err != nil {
		return err
	}
	var forks []pg.RelFork
	unlogged := map[pg.OID]bool{}
	for _, e := range entries {
		p := s.v.ParsePath(dir + "/" + e.Name())
		switch {
		case p.Kind == pg.PathRelMap && d.spc != pg.GlobalTablespace, p.Kind == pg.PathDBVersion:
			if err := s.files(dir, []string{e.Name()}); err != nil {
				return err
			}
		case p.Kind == pg.PathRelation && p.Segment == 0 && p.Fork.Fork != pg.FSMFork:
			forks = append(forks, p.Fork)
			unlogged[p.Fork.RelNumber] = unlogged[p.Fork.RelNumber] || p.Fork.Fork == pg.InitFork
		}
	}
	for _, rf := range forks {
		if unlogged[rf.RelNumber] && rf.Fork != pg.InitFork {
			continue
		}
		if err := s.addFork(rf); err != nil {
			return err
		}
	}
	return nil
}

// segmentSize is the size of a relation's file that another one follows.
const segmentSize = pg.RelSegBlocks * pg.BlockSize

// addFork adds a relation's fork or an SLRU's segment. As for PostgreSQL, a fork ends with
// its first segment that is not full.
func (s *scanner) addFork(rf pg.RelFork) error {
	f := source{path: s.v.RelPath(rf, 0), fork: rf, page: true}
	for segno := uint32(0); ; segno++ {
		p := s.v.RelPath(rf, segno)
		info, err := os.Stat(filepath.Join(s.dir, p))
		if segno > 0 && errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		rest := info.Size() % pg.BlockSize
		if rest != 0 && rf.IsSLRU() || info.Size() > segmentSize {
			return fmt.Errorf("%s has %d bytes, not a number of %d-byte blocks: %w", p, info.Size(), pg.BlockSize, ErrDamaged)
		}
		if rest != 0 { // an extension that a full disk or a crash cut off: for PostgreSQL it is not there (_mdnblocks)
			s.leftOut(p, fmt.Sprintf("its last %d bytes are less than a block", rest))
		}
		f.size += info.Size() - rest
		if info.Size() < segmentSize || rf.IsSLRU() {
			break
		}
	}
	s.list = append(s.list, f)
	return nil
}
