package privileged_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/privileged"
)

// TestOwnLocksNobodyOut: while a file goes from a server's account to this process's, and the account's group may go on
// to write it, the account can open it at every moment. A server that cannot open a segment of its WAL is gone.
func TestOwnLocksNobodyOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to give a file away needs root")
	}
	const account = 65534
	top, err := os.MkdirTemp("", "own")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	var path atomic.Pointer[string]
	var refused atomic.Pointer[error]
	var opened atomic.Int64
	end := make(chan struct{})
	var server sync.WaitGroup
	server.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread has the account's rights, and ends with the goroutine
		if unix.Setfsgid(account) != nil || unix.Setfsuid(account) != nil {
			err := fmt.Errorf("become the account %d", account)
			refused.Store(&err)
			return
		}
		for {
			select {
			case <-end:
				return
			default:
			}
			if name := path.Load(); name != nil {
				fd, err := unix.Open(*name, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					refused.Store(&err)
					return
				}
				unix.Close(fd)
				opened.Add(1)
			}
		}
	})
	h := &privileged.InProcess{}
	for n := range 300 {
		name := filepath.Join(top, fmt.Sprint(n))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, account, account); err != nil {
			t.Fatal(err)
		}
		path.Store(&name)
		for have := opened.Load(); opened.Load() == have && refused.Load() == nil; {
			runtime.Gosched()
		}
		if err := h.Own(top, filepath.Base(name), privileged.Ownership{UID: 0, GID: -1, Mode: 0o660}); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	server.Wait()
	if err := refused.Load(); err != nil {
		t.Errorf("the account could not open its file after %d times: %v", opened.Load(), *err)
	}
}
