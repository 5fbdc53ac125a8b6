package tenants

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

// Go makes a thread for each goroutine that is in a system call, and keeps them all for ever. A mount has a few
// that wait for the kernel's requests: what two hundred mounts at once needed would stay.

// spareThreads is how many idle threads are kept for what comes next.
const spareThreads = 32

// idleThreads estimates how many threads have nothing to do.
func idleThreads() int {
	samples := []metrics.Sample{{Name: "/sched/threads/total:threads"}, {Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return 0
		}
	}
	return int(samples[0].Value.Uint64()) - int(samples[1].Value.Uint64()) - runtime.GOMAXPROCS(0)
}

// endIdleThreads gives threads back that nothing uses. A thread ends with a goroutine that is locked to it; so many
// of them are held at once that each has a thread of its own.
func endIdleThreads() {
	n := idleThreads() - spareThreads
	if n <= 0 {
		return
	}
	var held, done sync.WaitGroup
	held.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread() // and never unlocks it
			held.Done()
			held.Wait()
		})
	}
	done.Wait()
}
