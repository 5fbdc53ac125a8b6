package repo_test

import (
	"context"
	"fmt"
	"os"

	"zenith/repo"
	"zenith/repo/control"
	"zenith/walredo"
)

// A branch begins with what its parent has at the branch point; after that, each goes its own way.
func Example() {
	if err := branchAndChange(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// main  0/1000028: work_mem = 4MB
	// dev   0/1000028: work_mem = 64MB
	// early 0/1000028: work_mem = 4MB
}

func branchAndChange(ctx context.Context) error {
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

	// A timeline without an ancestor is filled by a Bulk. ingest.Import does that from a data directory.
	const start = 0x1000028 // the end of the record with which its history begins
	bulk, err := r.Create(ctx, repo.CreateOptions{Name: "main", Major: 15, TLI: 1, SegSize: 16 << 20, SysID: 42})
	if err != nil {
		return err
	}
	if err := bulk.File("postgresql.conf", start, []byte("work_mem = 4MB")); err != nil {
		return err
	}
	if err := bulk.Commit(ctx, &control.State{LSN: start}); err != nil {
		return err
	}

	// dev has a configuration of its own. early branches off from a point of dev's that is before the change.
	main := bulk.Timeline()
	dev, err := r.Branch(ctx, repo.NewBranch{Name: "dev"}, main, main.LastLSN())
	if err != nil {
		return err
	}
	early, err := r.Branch(ctx, repo.NewBranch{Name: "early"}, dev, start)
	if err != nil {
		return err
	}
	if err := dev.PutFile(ctx, "postgresql.conf", []byte("work_mem = 64MB")); err != nil {
		return err
	}
	for _, tl := range []*repo.Timeline{main, dev, early} {
		snap, err := tl.AtHead(ctx)
		if err != nil {
			return err
		}
		conf, err := snap.ReadFile(ctx, "postgresql.conf")
		if err != nil {
			return err
		}
		fmt.Printf("%-5s %v: %s\n", tl.Name(), snap.LSN(), conf)
	}
	return nil
}
