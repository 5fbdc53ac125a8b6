package segment

import (
	"errors"
	"io/fs"
	"os"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Dir is the directory of one timeline's own segments.
type Dir struct {
	Path        string
	xlog.Config // of the WAL in it
}

// Segment is a file in a Dir.
type Segment struct {
	Name  string
	Start pg.LSN // the first LSN in it
}

// listFiles lists the files that have names of segments, in the order of their names. A directory that is
// not there has none: nothing was ever written on the timeline, or it is deleted.
func (d Dir) listFiles() (list []Segment, err error) {
	entries, err := os.ReadDir(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, start, ok := xlog.ParseSegmentName(e.Name(), d.SegSize); ok {
			list = append(list, Segment{Name: e.Name(), Start: start})
		}
	}
	return list, nil
}
