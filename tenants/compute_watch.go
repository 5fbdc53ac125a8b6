package tenants

import (
	"context"
	"errors"
	"time"

	"zenith/internal/postgres"
)

// DefaultReviveAfter has a postgres that crashes once be back at once, and gives one up that crashes
// again and again.
var DefaultReviveAfter = []time.Duration{0, time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// steadyTime is how long a postgres must have run for a crash not to count as one in a row.
const steadyTime = 10 * time.Minute

// defaultRestartTime is Config.RestartTime's.
const defaultRestartTime = 10 * time.Second

// watchProc starts a goroutine that waits for the end of a postgres and then calls ended. The caller has the turn.
func (c *compute) watchProc(proc *postgres.Server) {
	began := time.Now()
	c.t.m.background(func() { // when the Manager is being closed, nobody needs to notice
		select {
		case <-proc.Done():
			c.ended(proc, time.Since(began) >= steadyTime)
		case <-c.t.m.ctx.Done():
		}
	})
}

// ended acts on the end of a postgres that no verb of the page server has stopped. If it has crashed, it is
// started anew. If somebody else has stopped it, with pg_ctl say, it gets a while to come back. steady says
// that it had run for long, so that this crash does not count with those before.
func (c *compute) ended(proc *postgres.Server, steady bool) {
	ctx := c.t.m.ctx
	if c.take(ctx) != nil {
		return
	}
	ours := c.proc == proc && c.state == stateRunning
	crashed := proc.Crashed()
	if ours && crashed {
		c.t.m.meters.crashes.Add(1)
		c.change(func() {
			c.state = stateCrashed
			if steady {
				c.fell = 0
			}
		})
		c.t.log.Warn("postgres has crashed", "name", c.name, "pid", proc.PID(), "why", proc.Reason(), "log", c.logPath())
	} else if ours {
		c.become(stateStopped)
	}
	c.give()
	switch {
	case !ours:
	case crashed && !c.throwaway && !c.onState(): // what was written on a scratch mount would be lost
		c.revive(ctx, proc)
	case !crashed && !c.throwaway:
		c.awaitRestart(ctx, proc)
	}
}

// revive starts a postgres that has crashed, on a fresh mount of the branch's head: that needs no recovery. It
// tries again, after longer and longer times, and then gives up. While the disk is full it waits, however long:
// such a crash does not count.
func (c *compute) revive(ctx context.Context, proc *postgres.Server) {
	for again := true; again; {
		after := c.t.m.cfg.ReviveAfter
		full, err := waitRoom(ctx, c.t.dir, roomToRun)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.t.log.Error("wait for room to start a crashed postgres anew", "name", c.name, "err", err)
			return
		}
		if full {
			c.change(func() { c.fell = 0 })
		}
		c.mu.Lock()
		n := c.fell
		c.mu.Unlock()
		if n >= len(after) {
			c.t.log.Error("postgres stays crashed: it does so again and again", "name", c.name, "times", n, "log", c.logPath())
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(after[n]):
		}
		again = c.reviveOnce(ctx, proc)
	}
}

// reviveOnce is one attempt, unless somebody has started, stopped or removed the postgres meanwhile.
// again says that another one is to follow.
func (c *compute) reviveOnce(ctx context.Context, proc *postgres.Server) (again bool) {
	if c.take(ctx) != nil {
		return false
	}
	defer c.give()
	if c.proc != proc || c.state != stateCrashed {
		return false
	}
	c.change(func() { c.fell++ })
	if err := c.run(ctx, c.saved, c.asked); err != nil {
		c.t.log.Error("start a crashed postgres anew", "name", c.name, "err", err)
		return true
	}
	c.change(func() { c.restarts++ })
	c.t.log.Info("postgres was started anew after a crash", "name", c.name, "pid", c.proc.PID(), "times", c.restarts)
	return false
}

// awaitRestart waits for a postgres that somebody else has stopped to be there again, and takes its mount
// away if it is not.
func (c *compute) awaitRestart(ctx context.Context, proc *postgres.Server) {
	end := time.Now().Add(c.t.m.cfg.RestartTime)
	for {
		late := time.Now().After(end)
		if c.take(ctx) != nil {
			return
		}
		mine := c.proc == proc && c.state == stateStopped
		if mine {
			c.findRestarted()
			mine = c.proc == proc
		}
		var err error
		if mine && late {
			err = errors.Join(c.putAway(ctx, false), c.noteDown())
		}
		c.give()
		if mine && late {
			c.t.log.Info("postgres was stopped by somebody else", "name", c.name, "pid", proc.PID(), "err", err)
		}
		if !mine || late {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// findRestarted finds the postgres that somebody has started on the mount after ours was stopped, and takes
// it for ours. The caller has the turn. It does not die with this process; the next page server ends it
// before it opens the branch (EndLeftover).
func (c *compute) findRestarted() {
	if c.proc == nil || c.proc.Running() || c.mount == nil {
		return
	}
	text, err := c.mount.fs.Written(postgres.PostmasterPID)
	if err != nil {
		return // there is none
	}
	pid, ok := postgres.FindPostmaster(c.t.m.cfg.Helper, text, c.dataDir())
	if !ok || pid == c.proc.PID() {
		return
	}
	proc, err := postgres.Adopt(pid, c.launchOf(c.saved.Port))
	if err = errors.Join(err, postgres.WritePIDFile(c.dir, pid)); err != nil {
		c.t.log.Error("take over a postgres that somebody else has started", "name", c.name, "pid", pid, "err", err)
		return
	}
	c.change(func() { c.proc, c.state = proc, stateRunning })
	c.watchProc(proc)
	c.t.log.Info("postgres was restarted by somebody else", "name", c.name, "pid", pid)
}
