package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// BranchList gives a tenant's branches in the order of their creation.
func (m *Manager) BranchList(ctx context.Context, tenant string) ([]api.Branch, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.Branch{}
	for _, tl := range t.repo.Timelines() {
		list = append(list, describe(tl))
	}
	return list, nil
}

// describe makes the branch object that clients get of a timeline.
func describe(tl *repo.Timeline) api.Branch {
	b := api.Branch{Name: tl.Name(), TimelineID: tl.ID().String(), LatestValidLSN: tl.LastLSN(), Major: tl.Version().Major}
	if parent, at := tl.Ancestor(); parent != nil {
		b.AncestorID, b.AncestorLSN = new(parent.ID().String()), &at
	}
	a := tl.Attributes()
	b.Expires, b.Owner, b.Note, b.Was, b.Protected = a.Expires, a.Owner, a.Note, tl.Was(), protected(tl)
	if made := tl.Created(); !made.IsZero() {
		b.Created = &made
	}
	return b
}

// BranchCreate makes a branch at a point.
func (m *Manager) BranchCreate(ctx context.Context, tenant, name, point string, o api.BranchOptions) (api.Branch, error) {
	if err := api.CheckName(name); err != nil {
		return api.Branch{}, err
	}
	if err := errors.Join(checkText("owner", o.Owner), checkText("note", o.Note)); err != nil {
		return api.Branch{}, err
	}
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Branch{}, err
	}
	defer release()
	parent, at, _, err := t.point(ctx, point)
	if err != nil {
		return api.Branch{}, err
	}
	as := repo.NewBranch{Name: name, Attributes: repo.Attributes{Expires: o.Expires.From(time.Now()), Owner: o.Owner, Note: o.Note}}
	if err := t.noteExpiry(as.Expires); err != nil {
		return api.Branch{}, err
	}
	tl, err := t.repo.Branch(ctx, as, parent.tl, at.LSN)
	if errors.Is(err, repo.ErrExists) {
		return api.Branch{}, t.errNameTaken(name)
	}
	if err != nil {
		return api.Branch{}, classify(err)
	}
	return describe(tl), nil
}

// maxText is how long the owner and the note of a branch may be, in bytes.
const maxText = 500

// checkText refuses what is no short line of text: whoever lists branches sees it, on a terminal, too.
func checkText(what, text string) error {
	if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return api.Errorf(api.ErrBadArgument, "%s %q: want a line of text of at most %d bytes", what, api.Clip(text), maxText)
	}
	return nil
}

// errNameTaken says why a branch cannot have a name: there is one, or one for which that name
// would be a directory, or the other way round.
func (t *tenant) errNameTaken(name string) error {
	for _, tl := range t.repo.Timelines() {
		if other := tl.Name(); repo.Nested(name, other) {
			return api.Errorf(api.ErrExists, "branch %s: there is a branch %s, and as with files only one of the two can be", name, other)
		}
	}
	return api.Errorf(api.ErrExists, "branch %s: already exists", name)
}

// BranchDelete removes a branch that nobody uses. It can be brought back for a while. One of which a
// slip would destroy something is removed by force only.
func (m *Manager) BranchDelete(ctx context.Context, tenant, name string, force bool) error {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	if a := b.tl.Attributes(); a.Protected != nil && *a.Protected {
		return errProtected(b.tl)
	}
	return b.t.deleteBranch(ctx, b, force)
}

// deleteBranch removes a branch that nobody uses, and the stopped computes of that name.
func (t *tenant) deleteBranch(ctx context.Context, b *branch, force bool) error {
	name := b.tl.Name()
	if err := t.m.sleepOn(ctx, t.id, b.tl.ID()); err != nil {
		return err
	}
	if c := t.computeOn(b); c != nil {
		return api.Errorf(api.ErrBusy, "branch %s: postgres runs on it (pg stop %s)", name, c.name)
	}
	// The deletion takes the branch as a writer does, so that nobody mounts it for writing meanwhile.
	if err := b.acquire("its deletion"); err != nil {
		return err
	}
	defer b.release()
	if b.mounted() {
		return api.Errorf(api.ErrBusy, "branch %s: is mounted (zenith mount list), or streamed from", name)
	}
	if err := t.checkLeaf(b.tl); err != nil {
		return err
	}
	if !force {
		if err := b.checkExpendable(ctx); err != nil {
			return err
		}
	}
	if err := t.destroyStopped(ctx, name); err != nil {
		return err
	}
	err := t.repo.Delete(ctx, name, time.Now().Add(t.m.retention(t.id).deleted()))
	if errors.Is(err, repo.ErrBusy) {
		return api.Errorf(api.ErrBusy, "branch %s: has branches of its own", name)
	}
	if err != nil {
		return classify(err)
	}
	t.mu.Lock()
	if t.branches[b.tl.ID()] == b { // else it was brought back already
		delete(t.branches, b.tl.ID())
	}
	failed := t.unstarted[b.tl.ID()]
	delete(t.unstarted, b.tl.ID())
	delete(t.waits, b.tl.ID())
	t.mu.Unlock()
	if failed != nil {
		return t.forgetReceiver(b.tl.ID())
	}
	return nil
}

// checkLeaf refuses a timeline of which others need the history: a branch begins on it, or it has a tag.
func (t *tenant) checkLeaf(tl *repo.Timeline) error {
	if t.hasChildren(tl) {
		return api.Errorf(api.ErrBusy, "branch %s: has branches of its own", tl.Name())
	}
	if tag := t.tagOn(tl); tag != "" {
		return api.Errorf(api.ErrBusy, "branch %s: has the tag %s (tag -d %s)", tl.Name(), tag, tag)
	}
	return nil
}

// hasChildren reports whether a branch begins on a timeline.
func (t *tenant) hasChildren(tl *repo.Timeline) bool {
	return slices.ContainsFunc(t.repo.Timelines(), func(c *repo.Timeline) bool {
		parent, _ := c.Ancestor()
		return parent == tl
	})
}

// checkExpendable refuses a branch that is main or the last one, or that somebody has written to.
func (b *branch) checkExpendable(ctx context.Context) error {
	why := ""
	head, err := b.catchup(ctx)
	switch start := b.tl.StartLSN(); {
	case b.tl.Name() == MainBranch:
		why = "is the one that is meant where none is named"
	case len(b.t.repo.Timelines()) == 1:
		why = "is the last one"
	case err != nil: // it may have been written to: deleted by force it can still be brought back
		why = fmt.Sprintf("cannot be read to its end (%s)", oneLine(err))
	case head > start && b.isWritten(start, head):
		why = fmt.Sprintf("has %d bytes of WAL of its own, from %v to %v", head-start, start, head)
	default:
		return nil
	}
	return api.Errorf(api.ErrNotAllowed, "branch %s: %s: it is deleted by force only (branch delete -f)", b.tl.Name(), why)
}

// isWritten reports whether somebody has changed something between two LSNs of the branch. Where a server was
// started and stopped and nobody wrote, there is only what it writes by itself. WAL that cannot be read may be anything.
func (b *branch) isWritten(from, to pg.LSN) bool {
	r := xlog.NewReader(b.tl.WAL(), b.tl.WALConfig(), from)
	for rec := new(xlog.Record); r.EndLSN() < to; {
		if err := r.Next(rec); err != nil || !rec.IsHousekeeping() {
			return true
		}
	}
	return false
}

// BranchUndelete brings a deleted branch back.
func (m *Manager) BranchUndelete(ctx context.Context, tenant, name, as string) (api.Branch, error) {
	if as != "" {
		if err := api.CheckName(as); err != nil {
			return api.Branch{}, err
		}
	}
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Branch{}, err
	}
	defer release()
	all := t.repo.Deleted()
	i := slices.IndexFunc(all, func(d repo.Deleted) bool { return d.Name == name })
	if i < 0 {
		i = slices.IndexFunc(all, func(d repo.Deleted) bool { return d.ID.String() == name })
	}
	if i < 0 {
		return api.Branch{}, api.Errorf(api.ErrNotFound, "branch %s: no such branch was deleted, or it is not kept any more", name)
	}
	tl, err := t.repo.Undelete(ctx, all[i].ID, as)
	switch {
	case errors.Is(err, repo.ErrExists):
		return api.Branch{}, api.Errorf(api.ErrExists, "%v: branch undelete %s NEW_NAME", t.errNameTaken(cmp.Or(as, all[i].Name)), name)
	case errors.Is(err, repo.ErrBusy):
		j := slices.IndexFunc(all, func(d repo.Deleted) bool { return d.ID == all[i].Parent })
		if j < 0 {
			return api.Branch{}, classify(err)
		}
		parent := all[j].Name
		return api.Branch{}, api.Errorf(api.ErrBusy, "branch %s: it began on %s, which was deleted too (branch undelete %s)", name, parent, parent)
	case err != nil:
		return api.Branch{}, classify(err)
	}
	b, err := t.branch(tl)
	if err == nil {
		_, err = b.catchup(ctx)
	}
	return describe(tl), err
}

// BranchDeleted lists the deleted branches that can be brought back.
func (m *Manager) BranchDeleted(ctx context.Context, tenant string) ([]api.DeletedBranch, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.DeletedBranch{}
	for _, d := range t.repo.Deleted() {
		list = append(list, api.DeletedBranch{Name: d.Name, TimelineID: d.ID.String(), DeletedAt: d.At, KeptUntil: d.Until})
	}
	return list, nil
}

// destroyStopped removes the computes of a branch that is going away. None of them runs.
func (t *tenant) destroyStopped(ctx context.Context, branch string) error {
	var err error
	for _, c := range t.listComputes() {
		if name, _, _ := t.splitPoint(c.name); name == branch {
			if serr := c.stop(ctx, api.StopOptions{Destroy: true}); !errors.Is(serr, api.ErrNotFound) {
				err = errors.Join(err, serr)
			}
		}
	}
	return err
}

// LSN gives the LSN that a point means, always the end of a record.
func (m *Manager) LSN(ctx context.Context, tenant, point string) (pg.LSN, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return 0, err
	}
	defer release()
	_, at, _, err := t.point(ctx, point)
	return at.LSN, err
}

// IdentifySystem describes a branch as IDENTIFY_SYSTEM does.
func (m *Manager) IdentifySystem(ctx context.Context, tenant, branch string) (api.SystemID, error) {
	b, release, err := m.lookup(ctx, tenant, cmp.Or(branch, MainBranch))
	if err != nil {
		return api.SystemID{}, err
	}
	defer release()
	head, err := b.catchup(ctx)
	info := b.tl.Info()
	return api.SystemID{SysID: info.SysID, TLI: info.TLI, XLogPos: head}, err
}
