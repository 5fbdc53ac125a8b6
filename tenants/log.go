package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/changelog"
)

// Log tells what the commits up to a point did, the newest first.
func (m *Manager) Log(ctx context.Context, tenant, point string, o api.LogOptions, send func(api.Commit) error) error {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	b, at, _, err := t.point(ctx, point)
	if err != nil {
		return err
	}
	since, err := t.logSince(ctx, b, o.Since)
	if err != nil {
		return err
	}
	f, err := logFilter(o)
	if err != nil {
		return err
	}
	if o.Follow {
		return b.followLog(ctx, &f, since, at.LSN, o.Limit, send)
	}
	return readLog(ctx, b.tl, &f, since, at.LSN, o.Limit, send)
}

// logSince gives the LSN up to which commits are left out. What is kept may begin behind a moment of the past: then
// none is left out.
func (t *tenant) logSince(ctx context.Context, b *branch, point string) (pg.LSN, error) {
	if point == "" {
		return 0, nil
	}
	of, at, p, err := t.point(ctx, point)
	if errors.Is(err, api.ErrOutOfRange) && (p.LSN != 0 && p.LSN < b.tl.FirstLSN() || !p.Time.IsZero() && p.Time.Before(time.Now())) {
		return 0, nil
	}
	if err == nil && of.tl != b.tl {
		err = api.Errorf(api.ErrBadArgument, "since %s: is of another branch", point)
	}
	return at.LSN, err
}

// What a log that is followed has in memory at most: so many commits of those that there were, and those of so many
// bytes of WAL of what comes.
const (
	maxFollowed = 10_000
	followStep  = 1 << 20
)

// followLog sends what there is, the oldest first, and goes on with what comes.
func (b *branch) followLog(ctx context.Context, f *changelog.Filter, since, upTo pg.LSN, limit int, send func(api.Commit) error) error {
	for most := cmp.Or(limit, maxFollowed); ; most = 0 {
		var list []api.Commit
		err := readLog(ctx, b.tl, f, since, upTo, min(most, maxFollowed), func(c api.Commit) error {
			list = append(list, c)
			return nil
		})
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(list) {
			if err := send(c); err != nil {
				return err
			}
		}
		since = upTo
		if err := b.tl.WaitLSN(ctx, upTo+1); err != nil {
			return err
		}
		upTo = min(b.tl.LastLSN(), upTo+followStep)
	}
}

// logFilter says which commits are wanted.
func logFilter(o api.LogOptions) (f changelog.Filter, err error) {
	f = changelog.Filter{XID: pg.TransactionID(o.XID), All: o.All, What: changelog.What(o.What), Rows: uint64(max(0, o.Rows))}
	if o.What != "" && !f.What.Known() {
		return f, api.Errorf(api.ErrBadArgument, "%q: want created, dropped, truncated, rewritten, altered or advanced", api.Clip(o.What))
	}
	if o.Table == "" {
		return f, nil
	}
	name, err := api.ParseTableName(o.Table)
	f.Table, f.Database = name.IsTable, name.IsDatabase
	return f, err
}

// readLog sends the wanted commits of a timeline in (since, upTo], the newest first, limit at most.
func readLog(ctx context.Context, tl *repo.Timeline, f *changelog.Filter, since, upTo pg.LSN, limit int, send func(api.Commit) error) error {
	defer tl.Hold()() // the catalogs of the past are read
	r := changelog.NewReader(tl)
	n := 0
	var found *api.Commit // it is sent when it is known where the one before it ends
	sendFound := func(before pg.LSN) error {
		if found == nil {
			return nil
		}
		c := *found
		c.Before, found = before, nil
		return send(c)
	}
	for c, err := range tl.Commits(ctx, since, upTo) {
		if err == nil && !c.Aborted {
			err = sendFound(c.LSN)
		}
		if err != nil {
			return classify(err)
		}
		full := n == limit && limit > 0
		if full && found == nil {
			return nil
		}
		if full || !f.MayWant(c) {
			r.Skip(c)
			continue
		}
		e, err := r.Entry(ctx, c)
		if err != nil {
			return classify(fmt.Errorf("names at %v: %w", c.LSN, err))
		}
		if !f.Wants(&e) {
			continue
		}
		if err := sendFound(c.LSN); err != nil { // this one has aborted, and no commit lies between the two
			return err
		}
		found = new(apiCommit(&e))
		n++
	}
	return sendFound(max(since, tl.FirstLSN()))
}

// kindWords are the kinds of relations (pg_class.relkind) in words.
var kindWords = map[byte]string{
	'r': "table", 'p': "partitioned table", 'v': "view", 'm': "materialized view", 'S': "sequence", 'i': "index", 'I': "partitioned index", 'f': "foreign table", 'c': "type",
}

// apiCommit gives an entry in the domain's words.
func apiCommit(e *changelog.Entry) api.Commit {
	c := api.Commit{
		LSN: e.Commit.LSN, Time: e.Commit.Time.Time(), XID: uint32(e.Commit.XID), Aborted: e.Commit.Aborted, Prepared: e.Commit.Prepared,
		Partial: e.Commit.Partial, WALBytes: int64(e.Commit.Bytes), Tables: []api.TableChange{}, Statistics: e.Statistics, Catalogs: e.Catalogs,
	}
	for _, xid := range e.Commit.SubXIDs {
		c.SubXIDs = append(c.SubXIDs, uint32(xid))
	}
	for i := range e.Tables {
		t := &e.Tables[i]
		c.Tables = append(c.Tables, api.TableChange{
			Database: t.Database, Schema: t.Schema, Table: t.Name, OID: uint32(t.OID), Kind: kindWords[t.Kind], What: string(t.What),
			Inserted: int64(t.Inserted), Updated: int64(t.Updated), Deleted: int64(t.Deleted),
		})
	}
	for _, d := range e.Databases {
		c.Databases = append(c.Databases, api.DatabaseChange{Database: d.Name, What: string(d.What)})
	}
	return c
}
