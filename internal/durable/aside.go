package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MoveAside gives the file at path, whose content makes no sense, the first free name of
// PATH.damaged-1, PATH.damaged-2 and so on, and says which. So what is in it is not lost when
// a new file is made in its place.
func MoveAside(path string) (aside string, err error) {
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
		err := os.Link(path, aside) // unlike rename, it never replaces a file
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err == nil {
			err = SyncDir(filepath.Dir(path))
		}
		return aside, err
	}
}
