package lint_test

import (
	"slices"
	"strings"
	"testing"
)

// A process of root's that works by names in a directory which a lesser account can write does so to whatever that
// account has put under the name. The rooms that have to do with such directories use internal/dirfd, os.Root or
// privileged.Helper there. What they do by paths elsewhere is in the table, and in whose directory.

// byPath are the functions that follow, open, give away or remove what a path leads to.
var byPath = map[string]bool{
	"os.Open": true, "os.OpenFile": true, "os.Create": true, "os.ReadFile": true, "os.WriteFile": true, "os.Chown": true, "os.Lchown": true,
	"os.Chmod": true, "os.Link": true, "os.Rename": true, "os.Remove": true, "os.RemoveAll": true, "os.Mkdir": true, "os.MkdirAll": true,
	"unix.Mount": true, "unix.Unmount": true, "syscall.Mount": true, "syscall.Unmount": true, "syscall.Kill": true, "unix.Kill": true,
}

// lesserRooms are the files, and the packages ("/" at the end), that work in such directories.
var lesserRooms = []string{"fusefs/boundwal.go", "fusefs/bounddir.go", "internal/postgres/", "internal/privileged/", "tenants/compute", "tenants/leftovers.go"}

// ownPlaces says of each such call in them whose directory it is in.
var ownPlaces = map[string]string{
	"fusefs/bounddir.go:os.RemoveAll":              "the mount's own directory; RemoveAll follows no links below it",
	"fusefs/boundwal.go:os.Mkdir":                  "before the server's account gets it",
	"fusefs/boundwal.go:os.Open":                   "the branch's directory of segments",
	"fusefs/boundwal.go:os.OpenFile":               "before the server's account gets it",
	"fusefs/boundwal.go:os.RemoveAll":              "the mount's own directory; RemoveAll follows no links below it",
	"internal/postgres/account.go:os.Chown":        "a directory that was just made, behind a passage that is closed",
	"internal/postgres/accounts.go:os.Chmod":       "a tenant's directory, in the work directory",
	"internal/postgres/accounts.go:os.Open":        "/proc",
	"internal/postgres/upgrade.go:os.RemoveAll":    "a directory for sockets in the directory of temporary ones; RemoveAll follows no links below it",
	"internal/postgres/copies.go:os.Mkdir":         "a copy's directory, of which the account has data and run alone",
	"internal/postgres/copies.go:os.MkdirAll":      "the directories of copies",
	"internal/postgres/copies.go:os.RemoveAll":     "a copy's directory; RemoveAll follows no links below it",
	"internal/postgres/copy.go:os.RemoveAll":       "a copy's directory; RemoveAll follows no links below it",
	"internal/postgres/copy_exec.go:os.MkdirAll":   "the directories of copies",
	"internal/postgres/copy_exec.go:os.Open":       "a lock beside a copy",
	"internal/postgres/copy_exec.go:os.Remove":     "a lock beside a copy",
	"internal/postgres/copy_exec.go:os.RemoveAll":  "a copy's directory; RemoveAll follows no links below it",
	"internal/postgres/hba.go:os.WriteFile":        "a server's directory, of which the account has data and run alone",
	"internal/postgres/lastwords.go:os.Open":       "a server's directory, of which the account has data and run alone",
	"internal/postgres/pidfile.go:os.ReadFile":     "a server's directory, of which the account has data and run alone",
	"internal/postgres/pidfile.go:os.Remove":       "a server's directory, of which the account has data and run alone",
	"internal/postgres/process.go:os.ReadFile":     "/proc",
	"internal/postgres/recover.go:os.WriteFile":    "a backup's directory, of which the account has data alone",
	"internal/postgres/socket.go:os.Mkdir":         "a directory of /run, or of /tmp whose owner is looked at",
	"internal/postgres/socket.go:os.RemoveAll":     "this account's directory of sockets; RemoveAll follows no links below it",
	"internal/postgres/sslkey.go:os.Open":          "to learn whether this account may; only where it is the server's own",
	"internal/privileged/abort.go:os.OpenFile":     "/sys",
	"internal/privileged/abort.go:os.Remove":       "a directory that was just made, with a name that nobody knows",
	"internal/privileged/abort.go:unix.Mount":      "a directory that was just made, with a name that nobody knows",
	"internal/privileged/abort.go:unix.Unmount":    "a directory that was just made, with a name that nobody knows",
	"internal/privileged/backing.go:os.OpenFile":   "/sys",
	"internal/privileged/holders.go:os.ReadFile":   "/proc",
	"internal/privileged/mount.go:os.OpenFile":     "/dev/fuse",
	"internal/privileged/mountinfo.go:os.ReadFile": "/proc",
	"internal/privileged/place.go:os.ReadFile":     "/proc",
	"internal/privileged/place.go:unix.Unmount":    "by the descriptor of the directory above, when what is mounted there was compared",
	"internal/privileged/process.go:os.ReadFile":   "/proc",
	"tenants/compute.go:os.Mkdir":                  "a compute's directory, of which the account has data and run alone",
	"tenants/compute_life.go:os.RemoveAll":         "a compute's directory; RemoveAll follows no links below it",
	"tenants/computes.go:os.ReadFile":              "a compute's directory, of which the account has data and run alone",
	"tenants/leftovers.go:os.RemoveAll":            "a compute's directory; RemoveAll follows no links below it",
}

// TestByPath: the rooms that work in directories of lesser accounts do nothing there by paths.
func TestByPath(t *testing.T) {
	used := map[string]bool{}
	forEachUse(t, func(_, file, use string) {
		if !inLesserRoom(file) || !byPath[use] {
			return
		}
		call := file + ":" + use
		if used[call] = true; ownPlaces[call] == "" {
			t.Errorf("%s: use internal/dirfd, or say in the table whose directory it is in", call)
		}
	})
	for call := range ownPlaces {
		if !used[call] {
			t.Errorf("%s: there is no such call any more", call)
		}
	}
}

func inLesserRoom(file string) bool {
	return slices.ContainsFunc(lesserRooms, func(room string) bool { return strings.HasPrefix(file, room) })
}
