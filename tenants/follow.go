package tenants

import (
	"context"
	"time"

	"zenith/internal/pg"
)

// A run of a follower has costs of its own: an fsync, which competes with those of commits, a
// batch, a mark, and cold caches on both sides. So it takes in much at a time. A caller that
// needs the head of the branch does not wait for the follower, but runs the ingester itself.
const (
	pace = 20 * time.Millisecond  // the least time between two runs
	idle = 250 * time.Millisecond // the most time between two runs while WAL is written
	gulp = pg.LSN(8 << 20)        // bytes of new WAL that start a run before idle is over
)

// throttle is how long one fsync of WAL waits at most when ingest is too far behind:
// it slows the writer down and never stops it.
const throttle = time.Second

// follow ingests what is written to the WAL until ctx ends. While it fails, the WAL
// stays and the next run tries again.
func (b *branch) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.synced:
		}
		if _, err := b.ingest(ctx); err != nil && ctx.Err() == nil {
			b.t.log.Error("ingest WAL", "branch", b.tl.Name(), "err", err)
		}
		b.rest(ctx)
	}
}

// rest waits between two runs of a follower: for pace if somebody waits for the head to move, else until a
// gulp of WAL is there, but no longer than idle.
func (b *branch) rest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	select {
	case <-ctx.Done():
		return
	case <-time.After(pace):
	}
	for !b.tl.Awaited() && b.behind() < gulp {
		select {
		case <-ctx.Done():
			return
		case <-b.plenty:
		}
	}
}

// behind gives how many bytes of WAL are known to be written and are not yet ingested.
func (b *branch) behind() pg.LSN {
	written, last := pg.LSN(b.written.Load()), b.tl.LastLSN()
	return max(written, last) - last
}

// walSynced tells the follower that WAL was written up to upTo. It never waits.
func (b *branch) walSynced(upTo pg.LSN) {
	if uint64(upTo) > b.written.Load() {
		b.written.Store(uint64(upTo))
	}
	wake(b.synced)
	if b.behind() >= gulp {
		wake(b.plenty)
	}
}

// wake wakes the goroutine that waits on c. One that does not wait yet finds the word when it does.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// holdBack waits while ingest is more than the configured number of bytes behind what is
// written, but no longer than throttle.
func (b *branch) holdBack(ctx context.Context) {
	lag := pg.LSN(b.t.m.cfg.MaxLag)
	if b.behind() <= lag {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, throttle)
	defer cancel()
	// An error or the end of the time changes nothing: the writer goes on.
	_ = b.tl.WaitLSN(ctx, pg.LSN(b.written.Load())-lag)
}
