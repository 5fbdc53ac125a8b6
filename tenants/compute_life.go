package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

// computeState is what a compute does:
//
//	stopped --start--> starting --> running --stop--> stopping --> stopped --destroy--> gone
//	                       |           |
//	                       v           v
//	                 as it was before  crashed: started anew by revive, or by start
//
// One verb at a time changes it, the one that has the turn. A postgres that somebody else stops, or
// restarts, is noticed by watch.
type computeState string

const (
	stateStopped  computeState = api.ComputeStopped
	stateStarting computeState = api.ComputeStarting
	stateRunning  computeState = api.ComputeRunning
	stateStopping computeState = api.ComputeStopping
	stateCrashed  computeState = api.ComputeCrashed
	stateGone     computeState = "gone" // it was destroyed: its directory may be another compute's by now
)

// take waits for the turn to change the compute. The caller ends it with give.
func (c *compute) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("pg %s: wait while it is %s: %w", c.name, c.state, ctx.Err())
	}
}

// give ends the turn that take began, and lets the next verb have it.
func (c *compute) give() { <-c.turn }

// change changes fields of the compute. The caller has the turn.
func (c *compute) change(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

// become changes the compute's state. The caller has the turn.
func (c *compute) become(s computeState) { c.change(func() { c.state = s }) }

// set takes over what the user asked for. The caller has the turn.
func (c *compute) set(o api.ComputeOptions) error {
	next, err := c.saved.with(o)
	if err == nil {
		c.change(func() { c.saved = next })
	}
	return err
}

// errGone is returned by what is asked of a compute that was destroyed meanwhile.
var errGone = errors.New("postgres was destroyed")

// start mounts the compute's point and runs postgres there. If it fails, neither is left, and what o
// says is not kept: the next start may do without. One that runs with all that o says is left as it is.
func (c *compute) start(ctx context.Context, o api.ComputeOptions) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.state == stateGone {
		return errGone
	}
	c.findRestarted()
	next, err := c.saved.with(o)
	if err != nil {
		return err
	}
	if c.state == stateRunning && c.proc.Running() {
		if !postgres.RunsWith(c.saved.Port, c.saved.Settings, next.Port, next.Settings) || !c.opened(o) {
			return postgres.OtherSettings(c.name, c.saved.Port)
		}
		c.change(func() { c.woken = false })
		return c.noteUp()
	}
	if !c.throwaway {
		next.Up = &upAgain{Allow: o.Allow, AsOriginal: o.AsOriginal}
	}
	if err := c.run(ctx, next, o); err != nil {
		return err
	}
	c.change(func() { c.restarts, c.fell, c.woken = 0, 0, false })
	return nil
}

// opened reports whether the running postgres has the channels open that o asks for.
func (c *compute) opened(o api.ComputeOptions) bool {
	if c.asked.AsOriginal {
		return true
	}
	for _, channel := range o.Allow {
		if !slices.Contains(c.asked.Allow, channel) {
			return false
		}
	}
	return !o.AsOriginal
}

// run starts postgres on a fresh mount, which needs no recovery. next has the settings that are kept for later
// starts; of o only what is meant for this one start is used. The caller has the turn.
func (c *compute) run(ctx context.Context, next savedCompute, o api.ComputeOptions) (err error) {
	defer c.t.m.meters.started(time.Now(), &err)
	before := c.state
	c.become(stateStarting)
	defer func() {
		if err != nil {
			c.become(before)
		}
	}()
	if before == stateRunning { // postgres has ended just now, and watch waits for the turn to note that
		before = stateCrashed
	}
	if next.Port, err = postgres.ChoosePort(next.Port); err != nil {
		return err
	}
	if err := c.makeDirs(); err != nil {
		return fmt.Errorf("pg %s: %w", c.name, err)
	}
	if err := c.t.as.MakeSocketDir(c.dir); err != nil {
		return fmt.Errorf("pg %s: %w", c.name, err)
	}
	if err := c.unmount(ctx); err != nil {
		return err
	}
	how := mountOptions{as: &c.t.as, scratch: c.throwaway || c.onState(), bindWAL: !next.recyclesWAL(), libraries: next.Settings["shared_preload_libraries"]}
	mnt, err := c.t.m.mountPoint(ctx, c.t, c.name, c.dataDir(), how)
	if err != nil {
		return err
	}
	c.change(func() { c.mount = mnt })
	if err := c.launch(ctx, next, o); err != nil {
		return errors.Join(fmt.Errorf("pg %s: %w", c.name, err), c.unmount(context.WithoutCancel(ctx)))
	}
	return nil
}

// launch runs postgres on the mount with what next says, and notes on disk that it does.
func (c *compute) launch(ctx context.Context, next savedCompute, o api.ComputeOptions) error {
	distrib, err := c.t.m.pg.For(ctx, c.mount.branch.tl.VersionAt(c.mount.lsn))
	if err != nil {
		return err
	}
	needed, note, err := c.mount.needed(ctx, next.Settings)
	if err != nil {
		return err
	}
	missing, err := c.mount.preloads(ctx, next.Settings)
	if err != nil {
		return err
	}
	images, imagesNote, err := c.mount.images(ctx, next.Settings)
	if err != nil {
		return err
	}
	contain := postgres.Contain{DataDir: c.dataDir(), Main: c.name == MainBranch && !c.throwaway, Exec: c.throwaway, Options: o}
	contained, held, err := contain.Settings(viewFiles{ctx, c.mount.view})
	if err != nil {
		return err
	}
	gate := postgres.Gate{
		Dir: c.dir, DataDir: c.dataDir(), Account: c.t.as, Own: contain.Main || o.AsOriginal, OpenSocket: postgres.OpensSocket(next.Settings), Contained: contained,
	}
	access, keyless, err := gate.Settings(viewFiles{ctx, c.mount.view})
	if err != nil {
		return err
	}
	login, err := postgres.FindLogin(viewFiles{ctx, c.mount.view})
	if err != nil {
		return err
	}
	next.User, next.Database = login.User, login.Database
	l := c.launchOf(next.Port)
	l.Settings = c.settings(next, slices.Concat(contained, access, needed, images))
	proc, err := postgres.Start(ctx, distrib, c.t.as, l)
	if err != nil {
		return err
	}
	if err := errors.Join(c.save(next), postgres.WritePIDFile(c.dir, proc.PID())); err != nil {
		proc.Kill()
		return err
	}
	c.change(func() {
		c.distrib = distrib
		c.saved, c.damaged, c.proc, c.state, c.asked, c.notes = next, false, proc, stateRunning, o, postgres.Notes(note, held, missing, imagesNote, keyless)
	})
	c.watchProc(proc)
	return nil
}

// launchOf says how a server on the mount runs, less its settings.
func (c *compute) launchOf(port int) postgres.Launch {
	mnt := c.mount
	return postgres.Launch{
		DataDir: c.dataDir(), LogPath: c.logPath(), Port: port,
		DieWithParent: true, // without this process it has no data files, but may have its WAL and go on to commit
		Helper:        c.t.m.cfg.Helper,
		ReadPIDFile:   func() ([]byte, error) { return mnt.fs.Written(postgres.PostmasterPID) },
	}
}

// stop shuts postgres down, if it runs, and unmounts. A stop in another mode may come while one waits:
// it takes effect at once.
func (c *compute) stop(ctx context.Context, o api.StopOptions) error {
	if o.Destroy && o.Mode == "" && (c.throwaway || c.onState()) {
		o.Mode = "immediate" // a shutdown checkpoint would write what is thrown away
	}
	hurried, err := c.hurry(o.Mode)
	if err != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	return c.halt(ctx, o, hurried)
}

// halt is stop for a caller that has the turn.
func (c *compute) halt(ctx context.Context, o api.StopOptions, hurried bool) error {
	if c.state == stateGone {
		return api.Errorf(api.ErrNotFound, "pg %s: no such postgres", c.name)
	}
	c.findRestarted()
	switch {
	case c.proc != nil && c.proc.Running():
		if err := c.shutDown(ctx, o.Mode); err != nil {
			return err
		}
	case hurried && c.mount == nil && !o.Destroy:
		return nil
	case c.mount == nil && !o.Destroy && c.state != stateCrashed:
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.name)
	}
	return c.putAway(ctx, o.Destroy || c.throwaway)
}

// shutDown stops the postgres that runs. The caller has the turn.
func (c *compute) shutDown(ctx context.Context, mode string) error {
	c.become(stateStopping)
	if err := c.proc.Stop(ctx, mode); err != nil {
		c.become(stateRunning)
		return err
	}
	c.become(stateStopped)
	return nil
}

// hurry passes another mode to a postgres that is stopping already. did is false for one that is not.
func (c *compute) hurry(mode string) (did bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateStopping {
		return false, nil
	}
	return true, c.proc.Signal(mode)
}

// putAway unmounts a compute whose postgres has ended, and with destroy removes it. The caller has the turn.
func (c *compute) putAway(ctx context.Context, destroy bool) error {
	if err := c.unmount(ctx); err != nil {
		return err
	}
	if err := postgres.RemovePIDFile(c.dir); err != nil {
		return err
	}
	c.change(func() { c.proc, c.state, c.restarts, c.fell = nil, stateStopped, 0, 0 })
	if !destroy {
		return nil
	}
	return c.drop()
}

// drop removes the compute's directory, and takes it out of the tenant's list. It must have no mount: to
// remove what is on a mount of this process would be to use it. The caller has the turn.
func (c *compute) drop() error {
	c.become(stateGone)
	if c.release != nil {
		defer c.release()
	}
	err := errors.Join(postgres.RemoveSocketDir(c.dir), os.RemoveAll(c.dir))
	c.t.forget(c) // now another compute may have the directory
	return err
}

// dropIdle is drop, unless the compute runs or is mounted.
func (c *compute) dropIdle() error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.give()
	if c.state == stateGone || c.mount != nil || c.proc != nil {
		return nil
	}
	return c.drop()
}

// childPatience is how long the children of a postmaster that has ended may take to end, too: after an
// immediate stop, or when it was killed.
const childPatience = 5 * time.Second

// unmount takes the compute's mount away, if it has one. The caller has the turn, and postgres has ended;
// where its children have not, unmount waits for them, and kills them in the end.
func (c *compute) unmount(ctx context.Context) error {
	if c.mount == nil {
		return nil
	}
	if c.state == stateCrashed || c.proc != nil && c.proc.Crashed() {
		postgres.EndOrphans(c.t.m.cfg.Helper, c.dataDir()) // backends without a postmaster keep the mount busy
	}
	err := c.t.m.unmount(ctx, c.mount, false)
	if errors.Is(err, api.ErrBusy) {
		postgres.AwaitEnd(ctx, c.t.m.cfg.Helper, c.dataDir(), childPatience)
		err = c.t.m.unmount(ctx, c.mount, false)
	}
	if err != nil {
		return err
	}
	c.change(func() { c.mount = nil })
	return nil
}

// busy reports whether the compute has a mount or a process, or is about to. It does not wait.
func (c *compute) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateStarting || c.mount != nil || c.proc != nil
}
