package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// A timeline that came from another repository may be here only because its descendants need it, so
// that nobody has given it a name. Then its name is its id. No other timeline can have that name:
// CheckName refuses names that look like ids.

// Graft makes a timeline that another repository branched off from the same parent. It is Branch, but
// that the branch has the files that it began with there, by path, and not those that were put into
// parent's last. An empty name means the id.
func (r *Repository) Graft(ctx context.Context, id TimelineID, name string, parent *Timeline, at pg.LSN, files map[string][]byte) (*Timeline, error) {
	if name == "" {
		name = id.String()
	}
	s, err := parent.At(ctx, at)
	if err == nil {
		err = s.isAt(at)
	}
	for path, content := range files {
		if err == nil {
			err = checkPutFile(path, content)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("graft %q: %w", name, err)
	}
	t, err := r.branchFrom(ctx, NewBranch{ID: id, Name: name}, parent, s, nil, func(no timelineNo) ([]store.Op, error) {
		var ops []store.Op
		for path, content := range files {
			ops = append(ops, stampedOp(appendVersion(appendFile(nil, path), no, at), encodeFile(content)))
		}
		return ops, nil
	})
	if err != nil {
		return nil, fmt.Errorf("graft %q: %w", name, err)
	}
	return t, nil
}
