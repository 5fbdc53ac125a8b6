package lint_test

import "testing"

// durablyDone are the functions that internal/durable calls in the right order with the right
// syncs, so that nobody else has to.
var durablyDone = map[string]bool{
	"os.Rename": true, "os.WriteFile": true, "os.CreateTemp": true,
	"unix.Fsync": true, "unix.Fdatasync": true, "unix.Syncfs": true, "syscall.Fsync": true, "syscall.Fdatasync": true,
}

// sideFileDirs are the packages whose files are side files, that say something about one thing of a
// tenant: internal/sidefile reads and writes them, so that a damaged one costs no more than that.
var sideFileDirs = map[string]bool{"tenants": true, "internal/postgres": true}

// sideFileDone are the functions that it calls there.
var sideFileDone = map[string]bool{
	"durable.WriteFile": true, "durable.Replace": true, "toml.Decode": true, "toml.DecodeFile": true, "toml.NewDecoder": true,
}

// undurable says which files call one of them nevertheless, and why.
var undurable = map[string]string{
	"fusefs/overlay.go:os.Rename":                    "the rename of a process on the mount, which syncs it if it likes",
	"fusefs/spare.go:os.Rename":                      "a spare segment need not survive a crash",
	"internal/postgres/copy_exec.go:os.CreateTemp":   "a lock, of a server that is thrown away",
	"internal/postgres/hba.go:os.WriteFile":          "written anew at each start",
	"internal/postgres/pidfile.go:durable.WriteFile": "two words, which nobody minds if they make no sense",
	"internal/postgres/recover.go:os.WriteFile":      "in a directory that is imported, and then removed",
	"tenants/sweep.go:durable.WriteFile":             "a time, which has come if it makes no sense",
	"tenants/password.go:durable.WriteFile":          "a line for people, which zenith itself never reads",
	"tenants/password.go:os.WriteFile":               "for initdb, and then removed",
}

// tools are packages that are not part of the program.
var tools = map[string]bool{"bench": true, "bench/loopback": true, "internal/pgtest": true, "internal/pgtest/fakepg": true, "internal/durable": true}

// TestDurably: files are replaced and synced in one place.
func TestDurably(t *testing.T) {
	used := map[string]bool{}
	forEachUse(t, func(dir, file, use string) {
		if tools[dir] {
			return
		}
		call := file + ":" + use
		switch {
		case durablyDone[use] && undurable[call] == "":
			t.Errorf("%s: use internal/durable", call)
		case sideFileDirs[dir] && sideFileDone[use] && undurable[call] == "":
			t.Errorf("%s: use internal/sidefile", call)
		}
		used[call] = true
	})
	for call := range undurable {
		if !used[call] {
			t.Errorf("%s: there is no such call any more", call)
		}
	}
}
