package fusefs

import (
	"syscall"
	"testing"
)

// TestSendWALOfAFileThatIsMade: a segment is in its directory and open before go-fuse knows of it, and the head of the branch
// may be asked for at that moment.
func TestSendWALOfAFileThatIsMade(t *testing.T) {
	w := &worktree{}
	w.branch = anyBranch{}
	a := attr{mode: syscall.S_IFREG | 0o600}
	w.root = w.newDir("", attr{})
	wal, f := w.newDir(walDir, attr{}), w.newFile(kindSegment, &overlay{users: 1}, a)
	w.root.children, wal.children = map[string]child{}, map[string]child{}
	w.root.attachLocked(walDir, wal)
	wal.attachLocked("000000010000000000000001", f)
	if err := w.sendWAL(); err != nil {
		t.Error(err)
	}
}

type anyBranch struct{ Branch }
