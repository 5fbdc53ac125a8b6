package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/repo"
	"zenith/repo/datadir"
)

// remake makes the pages of a point readable that redo cannot rebuild, because records of an extension's
// resource manager have changed them: a throw-away server with the extension's library replays the WAL
// from where all pages were readable up to the point, and its pages are stored beside the WAL. It takes as
// long as that replay. asked is the shared_preload_libraries that the caller wants; "" if it does not say.
// ErrUnsupported says which pages cannot be read, and what was tried.
func (b *branch) remake(ctx context.Context, lsn pg.LSN, asked string) error {
	snap, err := b.tl.At(ctx, lsn)
	if err != nil {
		return classify(err)
	}
	if tags, _, err := snap.Unreadable(ctx); err != nil || len(tags) == 0 {
		return classify(err)
	}
	select {
	case b.t.remaking <- struct{}{}:
		defer func() { <-b.t.remaking }()
	case <-ctx.Done():
		return fmt.Errorf("branch %s: wait until pages of another point are made: %w", b.tl.Name(), ctx.Err())
	}
	tags, why, err := snap.Unreadable(ctx) // somebody else may have made them meanwhile
	if err != nil || len(tags) == 0 {
		return classify(err)
	}
	r := remaking{b: b, to: snap, tags: tags, why: why}
	return classify(r.run(ctx, asked))
}

// remaking is one run of remake.
type remaking struct {
	b        *branch
	from, to *repo.Snapshot // all pages can be read at from
	tags     []pg.BufferTag // of to, which cannot be read there
	why      error          // of the first of them
	store    *branch        // whose own WAL has the point: it, or an ancestor
}

func (r *remaking) run(ctx context.Context, asked string) (err error) {
	if r.from, err = r.to.ReadableBefore(ctx); err != nil {
		return r.failed(fmt.Errorf("the point before that: %w", err))
	}
	if r.store, err = r.b.owner(r.to.LSN()); err != nil {
		return err
	}
	unpin, err := r.b.pin(r.from.LSN())
	if err != nil {
		return err
	}
	defer unpin()
	defer r.b.tl.Hold()() // the WAL from the checkpoint before from on, too
	view, err := compose(ctx, r.to)
	if err != nil {
		return err
	}
	libraries, err := r.b.libraries(asked, viewFiles{ctx, view})
	if err != nil {
		return err
	}
	began, log := time.Now(), r.b.t.log.With("branch", r.b.tl.Name(), "lsn", r.to.LSN())
	log.Info("pages that an extension's wal records have changed are made by a throw-away postgres", "pages", len(r.tags), "from", r.from.LSN())
	var tried []error
	for _, list := range libraries {
		err := r.replay(ctx, list)
		if err == nil {
			log.Info("made pages that an extension's wal records have changed", "shared_preload_libraries", list, "took", time.Since(began))
			return r.check(ctx)
		}
		if ctx.Err() != nil {
			return err
		}
		tried = append(tried, fmt.Errorf("a server with shared_preload_libraries=%s: %w", list, err))
	}
	if len(tried) == 0 {
		tried = []error{errors.New("it is not known with which shared_preload_libraries they were written")}
	}
	return r.failed(tried...)
}

// failed gives the error of a run: what it is about, what was tried, and what helps.
func (r *remaking) failed(tried ...error) error {
	var list []string
	for _, err := range tried {
		list = append(list, err.Error())
	}
	before := ""
	if r.from != nil {
		before = fmt.Sprintf(", or make a branch of %s@%v, before those records", r.b.tl.Name(), r.from.LSN())
	}
	return api.Errorf(api.ErrUnsupported, "branch %s: %d pages cannot be read at %v: %v; only postgres with the extension's library can replay that: %s. "+
		"Install the library and name it: --set shared_preload_libraries=LIBRARY%s",
		r.b.tl.Name(), len(r.tags), r.to.LSN(), r.why, strings.Join(list, "; "), before)
}

// check makes sure that all pages can be read now.
func (r *remaking) check(ctx context.Context) error {
	tags, why, err := r.to.Unreadable(ctx)
	if err == nil && len(tags) > 0 {
		err = fmt.Errorf("branch %s: %d pages cannot be read at %v though they were made again: %w", r.b.tl.Name(), len(tags), r.to.LSN(), why)
	}
	return err
}

// owner finds the branch that has lsn in its own WAL: b, or an ancestor.
func (b *branch) owner(lsn pg.LSN) (*branch, error) {
	tl := b.tl
	for up, _ := tl.Ancestor(); up != nil && lsn < tl.StartLSN(); up, _ = tl.Ancestor() {
		tl = up
	}
	return b.t.branch(tl)
}

// replay runs the throw-away server, on a scratch mount of its own: so nothing is copied, however big the
// database is. What it has written is read when the mount has gone.
func (r *remaking) replay(ctx context.Context, libraries string) (err error) {
	t := r.b.t
	distrib, err := t.m.pg.For(ctx, r.to.Version())
	if err != nil {
		return err
	}
	tree, err := datadir.NewReplay(ctx, r.from, r.to)
	if err != nil {
		return err
	}
	dir := t.computeDir(postgres.ThrowawayPrefix + "replay-" + time.Now().UTC().Format("150405.000000000")) // one that is left by a crash is removed with those of pg exec
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o711); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := t.as.CheckReach(data); err != nil {
		return err
	}
	private, err := t.privateDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	replayed := false
	ended := func(written fusefs.WrittenPages) error {
		if !replayed {
			return nil
		}
		return r.take(context.WithoutCancel(ctx), written)
	}
	work := fusefs.WorkOptions{Dir: private, NoWriteback: t.m.cfg.NoWriteback, Ended: ended}
	mnt, err := t.m.mounter.scratch(data, tree, work, t.m.optionsOf(&mount{as: &t.as}))
	if err != nil {
		return mountError(data, err)
	}
	err = postgres.Replay(ctx, distrib, t.as, postgres.Recovery{
		Dir: dir, DataDir: data, Settings: atLeast(r.from.State().Settings, r.to.State().Settings), Libraries: libraries,
		Started:     func(pid int) error { return postgres.WritePIDFile(dir, pid) },
		ReadPIDFile: func() ([]byte, error) { return mnt.Written(postgres.PostmasterPID) },
		Helper:      t.m.cfg.Helper,
	})
	replayed = err == nil
	if uerr := mnt.Unmount(); uerr != nil {
		return errors.Join(err, uerr, mnt.End())
	}
	return errors.Join(err, mnt.Wait())
}

// atLeast gives the settings that a replay from one state to another needs: each as the higher of both.
func atLeast(a, b pg.ControlSettings) pg.ControlSettings {
	b.MaxConnections = max(a.MaxConnections, b.MaxConnections)
	b.MaxPreparedXacts = max(a.MaxPreparedXacts, b.MaxPreparedXacts)
	b.MaxLocksPerXact = max(a.MaxLocksPerXact, b.MaxLocksPerXact)
	return b
}

// take stores the pages as the server has left them.
func (r *remaking) take(ctx context.Context, written fusefs.WrittenPages) error {
	for tags := range slices.Chunk(r.tags, imagesAtOnce) {
		var pages []repo.RemadePage
		for _, tag := range tags {
			page, err := r.page(ctx, tag, written)
			if err != nil {
				return err
			}
			pages = append(pages, repo.RemadePage{Tag: tag, Page: page})
		}
		if err := r.put(ctx, tags, pages); err != nil {
			return err
		}
	}
	return nil
}

// page gives a page as it is after the replay.
func (r *remaking) page(ctx context.Context, tag pg.BufferTag, written fusefs.WrittenPages) (pg.Page, error) {
	page := make(pg.Page, pg.BlockSize)
	ok, err := written(tag, page)
	if err == nil && !ok {
		err = r.from.ReadPage(ctx, tag, page) // the replay has left it as it was
	}
	if err == nil && page.LSN() > r.to.LSN() {
		err = fmt.Errorf("it was changed at %v, after the replay", page.LSN())
	}
	if err != nil {
		return nil, fmt.Errorf("take %v from the replay: %w", tag, err)
	}
	return page, nil
}

// put stores pages. No WAL is ingested meanwhile: from the head on, later records of extensions are to be
// noted again.
func (r *remaking) put(ctx context.Context, tags []pg.BufferTag, pages []repo.RemadePage) error {
	o, at := r.store, r.to.LSN()
	o.catching.Lock()
	defer o.catching.Unlock()
	if err := o.tl.PutRemade(ctx, at, pages); err != nil {
		return err
	}
	if at == o.tl.LastLSN() {
		o.ing.Remade(tags)
	}
	return nil
}
