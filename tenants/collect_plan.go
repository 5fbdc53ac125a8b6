package tenants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// young is the age below which history is forgotten only by force, or by the settings.
const young = 24 * time.Hour

// GCPlan says what GC would forget, and forgets nothing.
func (m *Manager) GCPlan(ctx context.Context, tenant, name string, r api.Retain) ([]api.Forgettable, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	horizons, err := t.horizonsOf(ctx, name, r)
	if err != nil {
		return nil, err
	}
	would, err := t.repo.WouldForget(ctx, horizons)
	if err != nil {
		return nil, classify(err)
	}
	list := []api.Forgettable{}
	for _, tl := range t.repo.Timelines() {
		if f := would[tl.ID()]; f != nil {
			list = append(list, api.Forgettable{
				Branch: tl.Name(), From: f.From, FromTime: timeAt(ctx, tl, f.From), To: f.To, ToTime: timeAt(ctx, tl, f.To),
				WALBytes: int64(f.To - f.From), Versions: f.Versions,
			})
		}
	}
	return list, nil
}

// timeAt gives the time of the last commit at or before an LSN; nil if that is not known.
func timeAt(ctx context.Context, tl *repo.Timeline, lsn pg.LSN) *time.Time {
	p, err := tl.Resolve(ctx, lsn)
	if err != nil {
		return nil // it is for the user's eyes only
	}
	at := p.State.KnownSince()
	return &at
}

// checkYoung refuses horizons below which there is history from since, a day ago, on.
func (t *tenant) checkYoung(ctx context.Context, horizons map[repo.TimelineID]pg.LSN, since time.Time) error {
	var lost []string
	for _, tl := range t.repo.Timelines() {
		h := horizons[tl.ID()]
		kept := max(tl.OwnHorizon(), tl.StartLSN())
		if h <= kept {
			continue
		}
		to, err := tl.Resolve(ctx, h)
		if err != nil {
			return classify(err)
		}
		from := kept
		switch old, err := tl.FindTime(ctx, since); {
		case err == nil:
			from = max(kept, old.LSN)
		case !errors.Is(err, repo.ErrOutOfRange): // then it begins later
			return classify(err)
		}
		if to.LSN <= from {
			continue
		}
		what := fmt.Sprintf("%s up to %v", tl.Name(), to.LSN)
		if at := timeAt(ctx, tl, to.LSN); at != nil {
			what += at.Local().Format(" (2006-01-02 15:04:05Z07:00)")
		}
		lost = append(lost, fmt.Sprintf("%s, %d bytes of WAL", what, to.LSN-from))
	}
	if len(lost) == 0 {
		return nil
	}
	const most = 3
	if more := len(lost) - most; more > 0 {
		lost = append(lost[:most], fmt.Sprintf("%d more branches", more))
	}
	return api.Errorf(api.ErrNotAllowed, "gc would forget what is younger than a day: %s (--dry-run shows it, --force does it)", strings.Join(lost, "; "))
}
