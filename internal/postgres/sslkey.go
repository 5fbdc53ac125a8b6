package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"zenith/internal/api"
)

// withoutKey gives the setting that turns TLS off where the server's account may not read the private key that its
// configuration names, which would keep the server from starting, and a note that says so: Debian's clusters use a
// key for the group ssl-cert, of which a tenant's own account is not.
func (g Gate) withoutKey(files DataFiles) ([]api.Setting, string, error) {
	read, err := readConfig(files)
	if err != nil {
		return nil, "", err
	}
	key := read.values["ssl_key_file"]
	switch strings.ToLower(read.values["ssl"]) {
	case "on", "true", "yes", "1":
	default:
		return nil, "", nil
	}
	if !filepath.IsAbs(key) { // in the data directory, where all is the account's
		return nil, "", nil
	}
	may, err := g.Account.mayRead(key)
	if may || errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil // what is not there the server reports itself
	}
	if err != nil {
		return nil, "", err
	}
	return []api.Setting{{Name: "ssl", Value: "off"}},
		fmt.Sprintf("without TLS: its account %s may not read the key %s", g.Account.Name, key), nil
}

// mayRead reports whether the account may read a file.
func (a Account) mayRead(path string) (bool, error) {
	if !a.other {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrPermission) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, f.Close()
	}
	fi, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if a.CheckReach(path) != nil {
		return false, nil
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return true, nil
	}
	switch perm := fi.Mode().Perm(); {
	case int(st.Uid) == a.UID:
		return perm&0o400 != 0, nil
	case a.inGroup(st.Gid):
		return perm&0o040 != 0, nil
	default:
		return perm&0o004 != 0, nil
	}
}
