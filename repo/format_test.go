package repo_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

var keep = flag.Bool("keep", false, "write a store of the present layout to testdata, for later programs to open")

// TestKeptStores: a store of each layout since 5 opens, and shows what it showed to the program that wrote it. It
// is in testdata/format-N.tar.gz, and the states that it showed are in format-N.txt. After a change of the layout,
// `go test ./repo -run TestKeptStores -keep` adds the new one; the old ones are never written again.
func TestKeptStores(t *testing.T) {
	if *keep {
		keepStore(t)
	}
	kept, err := filepath.Glob("testdata/format-*.tar.gz")
	if err != nil || len(kept) == 0 {
		t.Fatalf("no kept store: %v", err)
	}
	for _, path := range kept {
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(path, dir); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(path, ".tar.gz") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time it is of the present layout
				r := openKept(t, dir)
				if got := shown(t, r, points(string(want))); got != string(want) {
					t.Errorf("got\n%swant\n%s", got, want)
				}
				repotest.Close(t, r)
			}
		})
	}
}

func openKept(t *testing.T, dir string) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: dir, Redo: repotest.Redo})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var pointLine = regexp.MustCompile(`(?m)^(\S+)@(\S+) `)

// points gives the points in a text that shown wrote, by the name of the branch.
func points(text string) map[string][]pg.LSN {
	all := map[string][]pg.LSN{}
	for _, m := range pointLine.FindAllStringSubmatch(text, -1) {
		lsn, _ := pg.ParseLSN(m[2])
		all[m[1]] = append(all[m[1]], lsn)
	}
	return all
}

// shown describes the branches, and their states at points.
func shown(t *testing.T, r *repo.Repository, at map[string][]pg.LSN) string {
	t.Helper()
	var b strings.Builder
	for _, tl := range r.Timelines() {
		parent, from := tl.Ancestor()
		name := "-"
		if parent != nil {
			name = parent.Name()
		}
		fmt.Fprintf(&b, "branch %s %v of %s at %v, head %v, horizon %v\n", tl.Name(), tl.ID(), name, from, tl.LastLSN(), tl.OwnHorizon())
		for _, lsn := range at[tl.Name()] {
			fmt.Fprintf(&b, "%s@%v %s\n", tl.Name(), lsn, digest(t, tl, lsn))
		}
	}
	for _, d := range r.Deleted() {
		fmt.Fprintf(&b, "deleted %s %v at %v, head %v\n", d.Name, d.ID, d.Start, d.Head)
	}
	return b.String()
}

// digest is a checksum of all that a state has, or says that it was forgotten.
func digest(t *testing.T, tl *repo.Timeline, lsn pg.LSN) string {
	t.Helper()
	ctx := t.Context()
	s, err := tl.At(ctx, lsn)
	if errors.Is(err, repo.ErrOutOfRange) {
		return "forgotten"
	}
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	fmt.Fprintln(h, s.LSN(), s.State().CheckPoint.NextXID)
	page := make(pg.Page, pg.BlockSize)
	for _, rf := range relForks {
		n, exists, err := s.RelSize(ctx, rf)
		fmt.Fprintln(h, rf, n, exists, err)
		for b := range n {
			err := s.ReadPage(ctx, rf.Tag(b), page)
			fmt.Fprintln(h, b, repotest.Mixed(page), err)
		}
	}
	err = errors.Join(
		s.Databases(ctx, func(spc, db pg.OID) error { fmt.Fprintln(h, spc, db); return nil }),
		s.Files(ctx, "", func(path string, size int) error {
			content, err := s.ReadFile(ctx, path)
			fmt.Fprintln(h, path, size, string(content))
			return err
		}))
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// keepStore writes a store of the present layout with branches, deleted ones, collected history and files.
func keepStore(t *testing.T) {
	dir := t.TempDir()
	m := &model{t: t, rnd: rand.New(rand.NewPCG(5, 5)), dir: dir, xid: 700, gc: true, sound: true}
	maker := &storetest.BadgerMaker{Dir: filepath.Join(dir, repo.StoreDir)}
	m.open = func() store.Store { return maker.Open(t) }
	m.reopen()
	m.create()
	for len(m.timelines) < 6 || len(m.deleted) < 2 || !slices.ContainsFunc(m.timelines, func(t *timeline) bool { return t.horizon != 0 }) {
		for range 3 {
			v := m.any()
			for range m.rnd.IntN(60) {
				m.record(v)
			}
			m.ingest(v)
		}
		m.branch()
		m.putFile()
		m.forgetOrPin()
		if len(m.timelines) > 5 {
			m.delete()
		}
	}
	at := map[string][]pg.LSN{}
	for _, tl := range m.timelines {
		all := tl.points()
		for i := 0; i < len(all); i += max(1, len(all)/12) {
			at[tl.name] = append(at[tl.name], all[i])
		}
		at[tl.name] = append(at[tl.name], all[len(all)-1])
	}
	m.restart(false) // pins end
	text := shown(t, m.r, at)
	version := repo.FormatVersion
	repotest.Close(t, m.r)
	base := filepath.Join("testdata", fmt.Sprint("format-", version))
	if err := errors.Join(os.MkdirAll("testdata", 0o755), pack(dir, base+".tar.gz"), os.WriteFile(base+".txt", []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// pack writes a directory as an archive.
func pack(dir, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	w := tar.NewWriter(z)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close(), f.Close())
}

// unpack undoes pack.
func unpack(path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o700)
		} else if err = os.MkdirAll(filepath.Dir(to), 0o700); err == nil {
			err = writeFrom(to, r)
		}
		if err != nil {
			return err
		}
	}
}

func writeFrom(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
