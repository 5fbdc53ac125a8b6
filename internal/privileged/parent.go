package privileged

import (
	"os/exec"
	"runtime"
	"sync"
)

// startLasting starts a process from a thread that lives as long as this process. The kernel sends Pdeathsig
// when the thread ends that started the process, and Go's other threads may end before.
func startLasting(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	parent() <- func() { started <- cmd.Start() }
	return <-started
}

// parent gives the channel of the goroutine that has that thread for itself.
var parent = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked, and the goroutine never ends
		for call := range calls {
			call()
		}
	}()
	return calls
})
