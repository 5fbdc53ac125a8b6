package receiver

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo"
)

// serverHistory is what a server says about the timelines of PostgreSQL through which its WAL has gone.
type serverHistory struct {
	pg.History
	text []byte // the history file of the last one; nil: the server has none
}

// history asks the server for the history of the timeline that it is on.
func (c *conn) history(ctx context.Context, tli pg.TLI) (h serverHistory, err error) {
	if tli == 1 {
		return serverHistory{History: pg.OnTLI(1)}, nil
	}
	rows, err := c.query(ctx, fmt.Sprintf("TIMELINE_HISTORY %d", tli))
	if sqlState(err) == stateUndefinedFile {
		return serverHistory{History: pg.OnTLI(tli)}, nil
	}
	if err != nil {
		return h, fmt.Errorf("ask for the history of timeline %d: %w", tli, err)
	}
	if len(rows) != 1 || len(rows[0]) < 2 {
		return h, fmt.Errorf("TIMELINE_HISTORY gave %d rows: %w", len(rows), errProtocol)
	}
	h.text = []byte(rows[0][1])
	h.History, err = pg.ParseHistory(tli, h.text)
	return h, err
}

// file is the history file of one of the server's timelines.
func (h *serverHistory) file(tli pg.TLI) ([]byte, error) {
	if tli == h.TLI() {
		return h.text, nil
	}
	return pg.AncestorHistory(tli, h.text)
}

// nextTLI is the timeline of PostgreSQL to which a branch has to go on at its head, before more of a server's WAL can
// follow; 0 if what follows is of the timeline that the branch is on. A refusal is an ErrTimeline: the branch has
// WAL that the server does not have.
func nextTLI(ours, theirs pg.History, head pg.LSN, branch string) (pg.TLI, error) {
	shared, at, ok := parting(ours, theirs, head)
	if !ok {
		return 0, fmt.Errorf("the server is on timeline %d, which has nothing in common with timeline %d of branch %s: "+
			"init a work directory from it (zenith init --from-server): %w", theirs.TLI(), ours.TLI(), branch, ErrTimeline)
	}
	left, next, over := theirs.Left(shared)
	switch {
	case shared != ours.TLI() || over && left < head:
		return 0, fmt.Errorf("the server, on timeline %d, and branch %s went different ways at %v on timeline %d; the branch has WAL up to %v "+
			"that the server lacks. To follow the server from there, make a branch where they parted (zenith branch create NAME %s@%v) and "+
			"receive into that one (zenith receive start NAME CONNINFO): %w", theirs.TLI(), branch, at, shared, head, branch, at, ErrTimeline)
	case over && left == head:
		return next, nil
	}
	return 0, nil
}

// parting gives the last timeline that a branch and a server have in common, and the LSN up to which their WAL is the
// same, as far as their histories can tell. Two timelines of one number that begin at different places are not the same
// one: both have promoted a standby of their own. ok is false if they have nothing in common.
func parting(ours, theirs pg.History, head pg.LSN) (shared pg.TLI, at pg.LSN, ok bool) {
	for i := len(ours) - 1; i >= 0 && !ok; i-- {
		e, found := theirs.Find(ours[i].TLI)
		shared, ok = e.TLI, found && (e.Begin == ours[i].Begin || e.Begin == 0 || ours[i].Begin == 0)
	}
	at = head
	for _, h := range []pg.History{ours, theirs} {
		if left, _, was := h.Left(shared); was {
			at = min(at, left)
		}
	}
	return shared, at, ok
}

// belongs makes sure that the server's WAL can be the timeline's.
func belongs(id identity, theirs pg.History, tl *repo.Timeline) error {
	info := tl.Info()
	switch {
	case id.version != tl.Version():
		return fmt.Errorf("the server is %v, the branch's WAL is %v's: %w", id.version, tl.Version(), ErrVersion)
	case id.sysID != info.SysID:
		return fmt.Errorf("the server's system identifier is %d, the branch's is %d: %w", id.sysID, info.SysID, ErrForeign)
	}
	if _, err := nextTLI(tl.History(), theirs, tl.LastLSN(), tl.Name()); err != nil {
		return err
	}
	if id.end < tl.LastLSN() {
		return fmt.Errorf("the server's WAL ends at %v, before the branch's at %v: %w", id.end, tl.LastLSN(), ErrDiverged)
	}
	return nil
}

// goOver has the branch go on to the server's timeline as far as its head is at the places where servers were
// promoted: usually once, after a failover. Each timeline's history file becomes a file of the branch.
func (r *Receiver) goOver(ctx context.Context, theirs *serverHistory) error {
	for {
		head := r.tl.LastLSN()
		next, err := nextTLI(r.tl.History(), theirs.History, head, r.tl.Name())
		if next == 0 || err != nil {
			return err
		}
		file, err := theirs.file(next)
		if err != nil {
			return err
		}
		if err := r.tl.PutFile(ctx, pg.HistoryPath(next), file); err != nil {
			return err
		}
		if err := r.tl.SwitchTLI(ctx, next, head); err != nil {
			return err
		}
		r.o.Log.Info("the server was promoted", "server", r.server.String(), "timeline", next, "at", head)
	}
}
