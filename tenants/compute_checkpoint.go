package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"zenith/internal/postgres"
	"zenith/repo/receiver"
)

// A base backup begins at the last real checkpoint of the branch's server. Since a server on a mount needs no
// checkpoints, they are rare, and whoever starts on the backup may have gigabytes to replay. So a client that asks
// for a fast checkpoint gets one if the last is farFromHead or more behind, and waits for it no longer than
// checkpointPatience.
const (
	farFromHead        = 256 << 20 // a few seconds of replay
	checkpointPatience = time.Minute
)

// freshCheckpoint has the server on the branch write a checkpoint if there is one and the last checkpoint is far
// behind the head. Where that does not come, the note says so, and the backup begins at the last one.
func (b *branch) freshCheckpoint(ctx context.Context) (note string, err error) {
	head := b.tl.LastLSN()
	at, err := b.tl.Resolve(ctx, head)
	if err != nil {
		return "", classify(err)
	}
	c := b.t.computeOn(b)
	behind := head - min(head, at.State.LastCheckpoint)
	if c == nil || behind < farFromHead {
		return "", nil
	}
	asked, cancel := context.WithTimeout(ctx, checkpointPatience)
	defer cancel()
	err = c.checkpoint(asked)
	switch {
	case err == nil:
		_, err = b.catchup(ctx)
		return "", err
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("it was asked for and did not come within %v", checkpointPatience)
	}
	return fmt.Sprintf("the last checkpoint is %d bytes of WAL before the backup's end, all of which is replayed at its start; there is no newer one: %s",
		uint64(behind), oneLine(err)), nil
}

// checkpoint has the compute's postgres write a checkpoint.
func (c *compute) checkpoint(ctx context.Context) error {
	c.mu.Lock()
	running := c.state == stateRunning && c.mount != nil
	c.mu.Unlock()
	if !running {
		return errors.New("the postgres on the branch is not running")
	}
	return c.local().Checkpoint(ctx)
}

// local is the compute's postgres, as this process connects to it.
func (c *compute) local() receiver.Local {
	c.mu.Lock()
	defer c.mu.Unlock()
	return receiver.Local{
		Socket: postgres.SocketDir(c.dir), Port: c.saved.Port,
		User: cmp.Or(c.saved.User, postgres.UsualLogin.User), Database: cmp.Or(c.saved.Database, postgres.UsualLogin.Database),
	}
}
