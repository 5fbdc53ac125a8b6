package tenants

import (
	"os"
	"sync"
	"syscall"
	"testing"
)

// TestEndIdleThreads: threads that were needed at once are given back.
func TestEndIdleThreads(t *testing.T) {
	var wg sync.WaitGroup
	var ends []int
	for range 200 {
		var p [2]int
		if err := syscall.Pipe(p[:]); err != nil { // not os.Pipe, which needs no thread to wait
			t.Fatal(err)
		}
		ends = append(ends, p[1])
		wg.Go(func() {
			syscall.Read(p[0], make([]byte, 1))
			syscall.Close(p[0])
		})
	}
	waitFor(t, "200 threads", func() bool { return threads(t) > 200 })
	for _, fd := range ends {
		syscall.Close(fd)
	}
	wg.Wait()
	waitFor(t, "the threads' end", func() bool { endIdleThreads(); return threads(t) < 150 })
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
