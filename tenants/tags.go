package tenants

import (
	"context"
	"errors"

	"zenith/internal/api"
	"zenith/repo"
)

// TagCreate names a point.
func (m *Manager) TagCreate(ctx context.Context, tenant, name, point string) (api.Tag, error) {
	if err := api.CheckName(name); err != nil {
		return api.Tag{}, err
	}
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Tag{}, err
	}
	defer release()
	b, at, _, err := t.point(ctx, point)
	if err != nil {
		return api.Tag{}, err
	}
	tag, err := t.repo.AddTag(ctx, name, b.tl, at.LSN)
	if errors.Is(err, repo.ErrExists) {
		return api.Tag{}, api.Errorf(api.ErrExists, "tag %s: there is a branch or a tag of that name", name)
	}
	if err != nil {
		return api.Tag{}, classify(err)
	}
	return describeTag(ctx, tag), nil
}

// TagList gives the tags, sorted by name.
func (m *Manager) TagList(ctx context.Context, tenant string) ([]api.Tag, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.Tag{}
	for _, tag := range t.repo.Tags() {
		list = append(list, describeTag(ctx, tag))
	}
	return list, nil
}

// TagDelete removes a tag.
func (m *Manager) TagDelete(ctx context.Context, tenant, name string) error {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	err = t.repo.RemoveTag(name)
	if errors.Is(err, repo.ErrNotFound) {
		return api.Errorf(api.ErrNotFound, "tag %s: no such tag", name)
	}
	return classify(err)
}

func describeTag(ctx context.Context, tag repo.Tag) api.Tag {
	d := api.Tag{Name: tag.Name, Branch: tag.Timeline.Name(), TimelineID: tag.Timeline.ID().String(), LSN: tag.LSN, Created: tag.Created}
	if at, err := tag.Timeline.Resolve(ctx, tag.LSN); err == nil {
		d.Time = new(at.State.KnownSince())
	}
	return d
}

// tagOn names a tag of a point that a timeline has in its own WAL, "" if there is none.
func (t *tenant) tagOn(tl *repo.Timeline) string {
	for _, tag := range t.repo.Tags() {
		if tag.Timeline == tl {
			return tag.Name
		}
	}
	return ""
}

// tagged gives the tag that a point names, and the branch: v42, or main@v42 where the tag is a point of main's history.
// ok is false for all other points.
func (t *tenant) tagged(point string) (branch string, tag repo.Tag, ok bool) {
	if t.hasBranch(point) {
		return "", tag, false
	}
	branch, name, found := api.SplitPoint(point)
	if !found {
		name = point
	}
	tag, err := t.repo.TagByName(name)
	switch {
	case err != nil || found && !t.isOn(branch, tag):
		return "", tag, false
	case !found:
		branch = tag.Timeline.Name()
	}
	return branch, tag, true
}

// isOn reports whether the point of a tag is one of the history of a branch.
func (t *tenant) isOn(branch string, tag repo.Tag) bool {
	b, err := t.lookup(branch)
	if err != nil {
		return false
	}
	tl, upTo := b.tl, b.tl.LastLSN()
	for tl != nil && tl != tag.Timeline {
		tl, upTo = tl.Ancestor()
	}
	return tl != nil && tag.LSN <= upTo
}
