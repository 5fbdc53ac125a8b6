package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/control"
)

// maxFirstFiles bounds the files, in bytes, that a branch may begin with.
const maxFirstFiles = 64 << 20

// name is the name that the timeline gets here: its id if it comes without one.
func (in *intake) name() string {
	if in.o.Name == "" {
		return in.id.String()
	}
	return in.o.Name
}

// begin makes the timeline from the first part of its stream.
func (in *intake) begin(ctx context.Context) (*repo.Timeline, error) {
	if in.o.Parent == "" {
		return in.image(ctx)
	}
	return in.graft(ctx)
}

// graft makes the timeline as a branch of one that is there.
func (in *intake) graft(ctx context.Context) (*repo.Timeline, error) {
	id, err := repo.ParseTimelineID(in.o.Parent)
	if err != nil {
		return nil, err
	}
	parent, err := in.t.repo.Timeline(id)
	if err != nil {
		return nil, err
	}
	files, size := map[string][]byte{}, 0
	for {
		f, err := in.in.next()
		if err != nil {
			return nil, err
		}
		if f.kind == frameBegin {
			return in.t.repo.Graft(ctx, in.id, in.name(), parent, in.o.Start, files)
		}
		if f.kind != frameFile {
			return nil, badFrame("%q before a branch begins", f.kind)
		}
		own, err := in.in.file(f)
		if err != nil {
			return nil, err
		}
		if size += len(own.Content); size > maxFirstFiles || own.LSN != in.o.Start {
			return nil, badFrame("file %q at %v among the first of a branch", own.Path, own.LSN)
		}
		files[own.Path] = own.Content
	}
}

// image makes a timeline without an ancestor from the pages and files of its first state. If the stream
// breaks off before the end of the image, there is no timeline.
func (in *intake) image(ctx context.Context) (*repo.Timeline, error) {
	bulk, err := in.t.repo.Create(ctx, repo.CreateOptions{
		ID: in.id, Name: in.name(), Major: in.version.Major, History: in.timelines.Until(in.o.Start), SegSize: in.o.SegSize, SysID: in.o.SysID,
	})
	if err != nil {
		return nil, err
	}
	defer bulk.Abort()
	l := &imageLoader{in: in, bulk: bulk, segs: map[pg.LSN]*os.File{}}
	err = l.load(ctx)
	if err = errors.Join(err, l.closeWAL()); err != nil {
		return nil, err
	}
	if l.state == nil || l.state.LSN != in.o.Start {
		return nil, badFrame("an image without the state at %v", in.o.Start)
	}
	if err := bulk.Commit(ctx, l.state); err != nil {
		return nil, err
	}
	in.t.hints.Store(in.t.logsHints())
	return bulk.Timeline(), nil
}

// imageLoader writes the frames of an image into the repository.
type imageLoader struct {
	in    *intake
	bulk  *repo.Bulk
	state *control.State
	rel   pg.RelFork
	n     pg.BlockNumber
	segs  map[pg.LSN]*os.File // by their start
}

func (l *imageLoader) load(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := l.in.in.next()
		if err != nil {
			return err
		}
		if f.kind == frameBegin {
			return nil
		}
		if err := l.take(f); err != nil {
			return err
		}
	}
}

func (l *imageLoader) take(f frame) (err error) {
	at := l.in.o.Start
	switch f.kind {
	case frameState:
		l.state, err = control.Decode(f.body)
		return err
	case frameDatabase:
		spc, db, err := f.database()
		if err != nil {
			return err
		}
		return l.bulk.DBCreate(spc, db, at)
	case frameFile:
		own, err := l.in.in.file(f)
		if err != nil {
			return err
		}
		return l.bulk.File(own.Path, at, own.Content)
	case frameRelation:
		var err error
		if l.rel, l.n, err = f.relation(); err != nil {
			return err
		}
		return l.bulk.RelSize(l.rel, at, l.n)
	case framePages:
		return l.pages(f)
	case frameWAL:
		return l.wal(f)
	}
	return badFrame("%q in an image", f.kind)
}

func (l *imageLoader) pages(f frame) error {
	first, pages, err := f.pages(l.n)
	if err != nil {
		return err
	}
	for i := 0; i < len(pages); i += pg.BlockSize {
		tag := l.rel.Tag(first + pg.BlockNumber(i/pg.BlockSize))
		if err := l.bulk.Image(tag, l.in.o.Start, pages[i:i+pg.BlockSize]); err != nil {
			return err
		}
	}
	return nil
}

// wal writes WAL before the start: a few segments at most.
func (l *imageLoader) wal(f frame) error {
	at, data, err := f.wal()
	if err == nil && at+pg.LSN(len(data)) > l.in.o.Start {
		err = badFrame("WAL at %v, beyond %v", at, l.in.o.Start)
	}
	if err != nil {
		return err
	}
	size := pg.LSN(l.in.o.SegSize)
	for len(data) > 0 {
		seg := at &^ (size - 1)
		n := min(len(data), int(seg+size-at))
		file, err := l.segment(seg)
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(data[:n], int64(at-seg)); err != nil {
			return err
		}
		at, data = at+pg.LSN(n), data[n:]
	}
	return nil
}

// segment gives the file of a segment, zeros at first.
func (l *imageLoader) segment(seg pg.LSN) (*os.File, error) {
	if f := l.segs[seg]; f != nil {
		return f, nil
	}
	const most = 4 // a record, the last, is in fewer
	if len(l.segs) >= most {
		return nil, badFrame("WAL of more than %d segments before the start", most)
	}
	f, err := os.OpenFile(l.bulk.Timeline().SegmentPath(seg), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	l.segs[seg] = f
	return f, f.Truncate(int64(l.in.o.SegSize))
}

// closeWAL makes the segments durable.
func (l *imageLoader) closeWAL() error {
	var err error
	for _, f := range l.segs {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("write wal: %w", err)
	}
	return nil
}
