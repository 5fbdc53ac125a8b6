package tenants

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

const (
	// roomToRun is how many bytes must be free on the disk for a postgres to be started anew that met a full
	// one: a few segments of WAL.
	roomToRun = 64 << 20
	roomPoll  = time.Second
)

// waitRoom waits until the file system of dir has room bytes free, and reports whether it had to.
func waitRoom(ctx context.Context, dir string, room int64) (waited bool, err error) {
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			return waited, fmt.Errorf("look for room at %s: %w", dir, err)
		}
		if int64(st.Bavail)*st.Bsize >= room {
			return waited, nil
		}
		waited = true
		select {
		case <-ctx.Done():
			return waited, ctx.Err()
		case <-time.After(roomPoll):
		}
	}
}
