package tenants

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"zenith/fusefs"
	"zenith/repo/store"
)

// limitMemoryLocked tells Go's garbage collector above how many bytes it has to work harder. The collector
// counts what stores and mounts have reserved as if it were in use, so each of them raises the limit, up to what the
// machine can give.
func (m *Manager) limitMemoryLocked() {
	if m.cfg.MemoryTarget <= 0 {
		return
	}
	limit := heapLimit(m.cfg.MemoryTarget, m.memoryBound, len(m.tenants), len(m.mounts))
	if limit != m.memoryLimit {
		m.memoryLimit = limit
		debug.SetMemoryLimit(limit)
	}
}

// heapLimit gives the limit for a number of open stores and mounts. It is never below target, which the user may have set.
func heapLimit(target, bound int64, stores, mounts int) int64 {
	limit := target + int64(stores)*store.Reserve + int64(mounts)*fusefs.Reserve()
	return max(target, min(limit, bound))
}

// boundShare is the part of the machine's memory, in per cent, beyond which the limit does not follow the number of
// mounts: the servers on them need the rest.
const boundShare = 50

// memoryBound gives how far the limit may follow the number of mounts, in bytes.
func memoryBound() int64 {
	total := int64(math.MaxInt64)
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err == nil {
		total = min(total, controlGroupBound("/sys/fs/cgroup", string(text)))
	}
	return total / 100 * boundShare
}

// controlGroupBound gives the least memory.max of a process's control group and those above it, in bytes. self is its
// /proc/self/cgroup, and root the directory where the second version of control groups is mounted. Without a bound
// it is the largest number there is.
func controlGroupBound(root, self string) int64 {
	least := int64(math.MaxInt64)
	for line := range strings.Lines(self) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ok {
			text, err := os.ReadFile(filepath.Join(root, group, "memory.max"))
			if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil { // else "max", or there is no such file
				least = min(least, n)
			}
			ok = group != "/" && group != "."
			group = filepath.Dir(group)
		}
	}
	return least
}
