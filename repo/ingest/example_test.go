package ingest_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"

	"zenith/repo"
	"zenith/repo/control"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// An Ingester takes in the WAL that lies in a timeline's segment files. After that, each of its points can
// be read.
func ExampleIngester() {
	if err := followWAL(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// head: 0/2665248
	// at 0/2610000 the last record ends at 0/260E4E0
	// the last commit was at 2026-11-22T14:06:00.749929Z
	// the next transaction is 732
}

func followWAL(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := repo.Open(repo.Options{Dir: dir, Redo: walredo.Redo})
	if err != nil {
		return err
	}
	defer r.Close()

	// The timeline begins where the recorded WAL does: at the first record of a segment. prev is the start
	// of the record before, which that one names.
	const start, prev = 0x2600028, 0x253D958
	bulk, err := r.Create(ctx, repo.CreateOptions{Name: "main", Major: 15, TLI: 1, SegSize: 1 << 20, SysID: 0x6B02F6C6C286BEC9})
	if err != nil {
		return err
	}
	main := bulk.Timeline()
	wal, err := recorded("testdata/example.wal.gz")
	if err != nil {
		return err
	}
	if err := os.WriteFile(main.SegmentPath(start), wal, 0o600); err != nil {
		return err
	}
	first := control.State{LSN: start, Prev: prev}
	first.Settings.WALLevel = 1 // replica
	if err := bulk.Commit(ctx, &first); err != nil {
		return err
	}

	in, err := ingest.New(main, ingest.Options{})
	if err != nil {
		return err
	}
	head, err := in.Catchup(ctx)
	if err != nil {
		return err
	}
	fmt.Println("head:", head)

	// An LSN within a record means the end of the record before.
	snap, err := main.At(ctx, 0x2610000)
	if err != nil {
		return err
	}
	state := snap.State()
	fmt.Println("at 0/2610000 the last record ends at", snap.LSN())
	fmt.Println("the last commit was at", state.LastCommit)
	fmt.Println("the next transaction is", state.CheckPoint.NextXID)
	return nil
}

// recorded reads the WAL of a server that updated, deleted and vacuumed a table.
func recorded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
