package xlog_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// dirSource reads the segment files of a directory.
type dirSource struct {
	dir     string
	tli     pg.TLI
	segSize int
}

func (d dirSource) ReadWAL(p []byte, at pg.LSN) (int, error) {
	f, err := os.Open(filepath.Join(d.dir, xlog.SegmentName(d.tli, at, d.segSize)))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, int64(at)%int64(d.segSize))
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
