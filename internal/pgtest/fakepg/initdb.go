package fakepg

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// runInitdb unpacks the stored cluster into the directory of -D. Without --data-checksums its
// control file says that it has none.
func runInitdb(args []string) error {
	if why := file("fail-initdb"); why != "" {
		return errors.New(strings.TrimSpace(why))
	}
	dir := option(args, "-D")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.New("directory \"" + dir + "\" exists but is not empty")
	}
	if err := pgtest.UnpackCluster(dir); err != nil || slices.Contains(args, "--data-checksums") {
		return err
	}
	path := filepath.Join(dir, "global", "pg_control")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c, err := pg.ParseControlFile(b)
	if err != nil {
		return err
	}
	c.ChecksumVersion = 0
	return os.WriteFile(path, c.Encode(), 0o600)
}

// option is the argument behind a flag, "" if it is not there.
func option(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}
