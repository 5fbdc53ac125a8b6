package tenants

import (
	"fmt"
	"sync"
)

// troubles are the uses of a mount's files that failed. Whoever used them got a number, and finds the reason in the list of
// mounts.
type troubles struct {
	mu   sync.Mutex
	n    int64
	last string
}

// note notes that a use of a file failed.
func (t *troubles) note(path string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	t.last = fmt.Sprintf("%s: %v", path, err)
}

// read gives how many failed, and the reason of the last one.
func (t *troubles) read() (n int64, last string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n, t.last
}
