package tenants

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
)

// promote has a branch of tenantA go on to another timeline of PostgreSQL's at its head, as a receiver does after a
// failover.
func (f *fixture) promote(t testing.TB, b *branch, tli pg.TLI, file string) {
	t.Helper()
	head := b.tl.LastLSN()
	if err := b.tl.SwitchTLI(t.Context(), tli, head-8); !errors.Is(err, repo.ErrInvalid) {
		t.Errorf("a switch before the head: %v", err)
	}
	err := b.tl.PutFile(t.Context(), pg.HistoryPath(tli), []byte(file))
	if err = errors.Join(err, b.tl.SwitchTLI(t.Context(), tli, head)); err != nil {
		t.Fatal(err)
	}
}

// walNames lists the segments of a timeline's own.
func walNames(t testing.TB, tl *repo.Timeline) (names []string) {
	t.Helper()
	list, err := tl.WAL().Segments()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// tliOf gives the timeline of the last checkpoint that the pg_control of a point names, checks that pg_wal has its
// segment, and tells whether there is the history file of timeline 2.
func tliOf(t testing.TB, b *branch, at pg.LSN) (tli pg.TLI, file bool) {
	t.Helper()
	view, err := b.view(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pg.ParseControlFile([]byte(readTree(t, view, pg.ControlPath)))
	if err != nil {
		t.Fatal(err)
	}
	readTree(t, view, "pg_wal/"+xlog.SegmentName(c.CheckPointCopy.ThisTLI, c.CheckPoint, int(c.SegSize)))
	_, err = view.Lookup(t.Context(), pg.HistoryPath(2))
	return c.CheckPointCopy.ThisTLI, err == nil
}

// TestTimelines: a branch goes through three timelines of PostgreSQL's. Its points are on the ones that they were on when
// they came, and so are branches made there; a restart, a deletion that is taken back and a push keep that.
func TestTimelines(t *testing.T) {
	t.Parallel()
	near, far, peer := pair(t)
	main := near.branchOf(t, MainBranch)
	h := near.advance(t, main, 40)
	if _, err := near.push(t, MainBranch); err != nil {
		t.Fatal(err)
	}
	near.promote(t, main, 2, "1\t0/0\treason\n")
	head := h.ends[40]
	if _, err := near.BranchCreate(t.Context(), tenantA, "at", "main", api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	near.advance(t, main, 39)
	second := main.tl.LastLSN()
	near.promote(t, main, 5, "1\t0/0\treason\n\n2\t0/0\treason\n")
	near.advance(t, main, -1)
	for name, at := range map[string]pg.LSN{"before": h.ends[20], "between": h.ends[60]} {
		if _, err := near.BranchCreate(t.Context(), tenantA, name, "main@"+at.String(), api.BranchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	histories := map[string]pg.History{
		"before": pg.OnTLI(1), "at": pg.OnTLI(1), "between": pg.OnTLI(1).Switched(2, head),
		MainBranch: pg.OnTLI(1).Switched(2, head).Switched(5, second),
	}
	same := func(f *fixture) {
		t.Helper()
		for name, want := range histories {
			if got := f.branchOf(t, name).tl.History(); !slices.Equal(got, want) {
				t.Errorf("history of %s: %v, want %v", name, got, want)
			}
		}
		main := f.branchOf(t, MainBranch)
		for _, c := range []struct {
			at   pg.LSN
			tli  pg.TLI
			file bool
		}{{h.ends[20], 1, false}, {head, 1, false}, {h.ends[41], 2, true}, {second, 2, true}, {h.end(), 5, true}} {
			if tli, file := tliOf(t, main, c.at); tli != c.tli || file != c.file {
				t.Errorf("at %v: timeline %d, history file %t; want %d, %t", c.at, tli, file, c.tli, c.file)
			}
		}
		for _, name := range walNames(t, main.tl) {
			tli, start, _ := xlog.ParseSegmentName(name, main.tl.Info().SegSize)
			if want := main.tl.History().OfSegment(start, main.tl.Info().SegSize); tli != want {
				t.Errorf("segment %s, want one of timeline %d", name, want)
			}
		}
	}
	same(near)
	near.restart(t)
	same(near)
	if err := near.BranchDelete(t.Context(), tenantA, "between", true); err != nil {
		t.Fatal(err)
	}
	if _, err := near.BranchUndelete(t.Context(), tenantA, "between", ""); err != nil {
		t.Fatal(err)
	}
	same(near)

	peer.cut = int64(h.end()-head) * 2 / 3 // the stream breaks off behind one of the promotions
	if _, err := near.push(t, MainBranch); !errors.Is(err, api.ErrUnavailable) {
		t.Fatal(err)
	}
	far.restart(t)
	peer.Manager, peer.cut = far.Manager, 0
	for name := range histories {
		if _, err := near.push(t, name); err != nil {
			t.Fatalf("push %s: %v", name, err)
		}
	}
	same(far)
	sameHistory(t, near, far, MainBranch)
	far.restart(t)
	same(far)
	peer.Manager = far.Manager

	// What was pushed before, and went on on its own there, is not overwritten.
	third := emptyManager(t, Config{})
	peer.Manager = third.Manager
	if _, err := near.push(t, "at"); err != nil {
		t.Fatal(err)
	}
	third.promote(t, third.branchOf(t, "at"), 3, "1\t0/0\treason\n")
	if err := near.branchOf(t, "at").tl.PrepareWAL(); err != nil {
		t.Fatal(err)
	}
	near.promote(t, near.branchOf(t, "at"), 2, "1\t0/0\treason\n")
	near.advance(t, near.branchOf(t, "at"), 5)
	if _, err := near.push(t, "at"); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("a push over another promotion: %v", err)
	}
}

// TestStartBehindPromotion: postgres on a branch whose server was promoted right at its head goes on on the new
// timeline, also if the old server was shut down there.
func TestStartBehindPromotion(t *testing.T) {
	t.Parallel()
	for _, records := range []int{-1, 10} { // -1: the head is the end of a shutdown checkpoint
		f := newManager(t, Config{})
		main := f.branchOf(t, MainBranch)
		if records >= 0 {
			f.advance(t, main, records)
		}
		before := main.tl.LastLSN()
		f.promote(t, main, 2, "1\t0/0\treason\n")
		if tli, _ := tliOf(t, main, before); tli != 1 {
			t.Errorf("the point of the promotion is on timeline %d", tli)
		}
		if err := main.tl.PrepareWAL(); err != nil {
			t.Fatal(err)
		}
		end, err := datadir.PrepareHead(t.Context(), main.tl)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := main.catchup(t.Context()); err != nil || head != end || head == before {
			t.Fatalf("head %v, %v; want %v, behind %v", head, err, end, before)
		}
		if tli, _ := tliOf(t, main, end); tli != 2 {
			t.Errorf("postgres would go on on timeline %d", tli)
		}
		if names := walNames(t, main.tl); slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "00000002") }) {
			t.Errorf("segments %v", names)
		}
	}
}

// TestBackupOverTimelines: a base backup that begins on one timeline and ends on another says so, and has the WAL of
// both.
func TestBackupOverTimelines(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	at := f.advance(t, main, 40).ends[40]
	f.promote(t, main, 2, "1\t0/0\treason\n")
	f.advance(t, main, 2)
	src, err := f.Replicate(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	backup, err := src.BaseBackup(t.Context(), api.BackupOptions{Label: "a test", WAL: true, Manifest: true, Checksums: "NONE"})
	if err != nil {
		t.Fatal(err)
	}
	var archive, manifest bytes.Buffer
	if err := errors.Join(backup.WriteArchive(t.Context(), 0, &archive), backup.WriteManifest(&manifest), backup.Close()); err != nil {
		t.Fatal(err)
	}
	info := backup.Info()
	if info.StartTLI != 1 || info.TLI != 2 {
		t.Errorf("from timeline %d to %d", info.StartTLI, info.TLI)
	}
	wal := `"Timeline": 2, "Start-LSN": "` + at.String() + `", "End-LSN": "` + info.Stop.String() + `" },
{ "Timeline": 1, "Start-LSN": "` + info.Start.String() + `", "End-LSN": "` + at.String() + `" }`
	if !strings.Contains(manifest.String(), wal) {
		t.Errorf("the manifest lacks %s:\n%s", wal, manifest.String()[max(0, manifest.Len()-600):])
	}
	names, files := unpack(t, &archive)
	if label := files["backup_label"]; !strings.Contains(label, "START TIMELINE: 1\n") {
		t.Errorf("backup_label: %s", label)
	}
	for _, name := range walNames(t, main.tl) {
		if !slices.Contains(names, filepath.Join("pg_wal", name)) {
			t.Errorf("%s is not in the backup", name)
		}
	}
	if old := "pg_wal/" + xlog.SegmentName(1, at, main.tl.Info().SegSize); !slices.Contains(names, old) {
		t.Errorf("%s, where timeline 1 was left, is not in the backup", old)
	}
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("names that are there twice: %v", names)
	}
	if !slices.Contains(names, pg.HistoryPath(2)) {
		t.Error("the history file is not in the backup")
	}
}

// TestReceiveOverTimelines follows a branch of another page server while that goes through timelines of PostgreSQL's: at
// its head while the stream runs, and twice, ahead of the receiver, while that is stopped.
func TestReceiveOverTimelines(t *testing.T) {
	t.Parallel()
	near, far, _, main, h := pushedPair(t)
	conninfo := near.serve(t)
	follow := func() {
		t.Helper()
		if err := far.ReceiveStart(t.Context(), tenantA, MainBranch, conninfo); err != nil {
			t.Fatal(err)
		}
	}
	same := func(what string) {
		t.Helper()
		waitFor(t, what, func() bool {
			there := far.branchOf(t, MainBranch)
			return there.tl.LastLSN() == main.tl.LastLSN() && slices.Equal(there.tl.History(), main.tl.History())
		})
	}
	follow()
	first := h.ends[10]
	file := "1\t" + first.String() + "\tno recovery target specified\n"
	near.promote(t, main, 2, file)
	near.advance(t, main, 20)
	same("the receiver goes over")
	if err := far.ReceiveStop(t.Context(), tenantA, MainBranch); err != nil {
		t.Fatal(err)
	}

	near.advance(t, main, 5)
	file += "\n2\t" + main.tl.LastLSN().String() + "\tno recovery target specified\n"
	near.promote(t, main, 3, file)
	near.advance(t, main, 5)
	file += "\n3\t" + main.tl.LastLSN().String() + "\tno recovery target specified\n"
	near.promote(t, main, 4, file)
	near.advance(t, main, 5)
	follow()
	same("the receiver goes over twice")
	near.advance(t, main, -1)
	same("the receiver follows on the last timeline")
	sameHistory(t, near, far, MainBranch)
	for tli := pg.TLI(2); tli <= 4; tli++ {
		var files [2]string
		for i, f := range []*fixture{near, far} {
			view, err := f.branchOf(t, MainBranch).view(t.Context(), h.end())
			if err != nil {
				t.Fatal(err)
			}
			files[i] = readTree(t, view, pg.HistoryPath(tli))
		}
		if files[0] != files[1] {
			t.Errorf("history file of %d: %q, there %q", tli, files[0], files[1])
		}
	}
	// What went another way there is refused, with the place where they parted.
	if err := far.ReceiveStop(t.Context(), tenantA, MainBranch); err != nil {
		t.Fatal(err)
	}
	if _, err := near.BranchCreate(t.Context(), tenantA, "other", "main@"+first.String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(conninfo, "/main", "/other", 1)
	err := far.ReceiveStart(t.Context(), tenantA, MainBranch, other)
	wantKind(t, "a server on the timeline that was left", err, api.ErrNotAllowed, "zenith branch create NAME main@"+first.String())
}
