package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	var ok bool
	if f.Table, ok = splitName(o.Table); !ok {
		return f, api.Errorf(api.ErrBadArgument, "table %q: want TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE", api.Clip(o.Table))
	}
	return f, nil
}

// splitName splits a name with up to three parts as PostgreSQL does: what is not in double quotes is in lower case.
func splitName(name string) (parts []string, ok bool) {
	for {
		var part string
		if rest, quoted := strings.CutPrefix(name, `"`); quoted {
			var b strings.Builder
			for {
				before, after, found := strings.Cut(rest, `"`)
				if !found {
					return nil, false
				}
				b.WriteString(before)
				if rest, found = strings.CutPrefix(after, `"`); !found {
					break
				}
				b.WriteByte('"')
			}
			part, name = b.String(), rest
		} else {
			end := strings.IndexByte(name, '.')
			if end < 0 {
				end = len(name)
			}
			part, name = strings.ToLower(name[:end]), name[end:]
		}
		parts = append(parts, part)
		if part == "" || len(parts) > 3 {
			return nil, false
		}
		if name == "" {
			return parts, true
		}
		if name, ok = strings.CutPrefix(name, "."); !ok {
			return nil, false
		}
	}
}

// readLog sends the wanted commits of a timeline in (since, upTo], the newest first, limit at most.
func readLog(ctx context.Context, tl *repo.Timeline, f *changelog.Filter, since, upTo pg.LSN, limit int, send func(api.Commit) error) error {
	defer tl.Hold()() // the catalogs of the past are read
	r := changelog.NewReader(tl)
	n := 0
	var found *api.Commit // it is sent when it is known which one is before it
	for c, err := range tl.Commits(ctx, since, upTo) {
		if err != nil {
			return classify(err)
		}
		if found != nil && !c.Aborted {
			found.Before = c.LSN
			if err := send(*found); err != nil {
				return err
			}
			if found = nil; n == limit && limit > 0 {
				return nil
			}
		}
		if n == limit && limit > 0 || !f.MayWant(c) {
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
		if found != nil { // an aborted one, between which and this one no commit lies
			found.Before = c.LSN
			if err := send(*found); err != nil {
				return err
			}
		}
		one := apiCommit(&e)
		found = &one
		n++
	}
	if found == nil {
		return nil
	}
	found.Before = max(since, tl.FirstLSN())
	return send(*found)
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
