package repo

// Memory bounds what the open windows of all repositories that share it hold, and
// how many of them write to their stores at the same time.
type Memory struct{}

// NewMemory makes a bound of limit bytes for windows; 0 means 256 MiB.
func NewMemory(limit int64) *Memory { return &Memory{} }
