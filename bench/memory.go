package main

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// memoryPeak is the most anonymous memory that a page server had in any of the benchmarks.
type memoryPeak struct {
	mu      sync.Mutex
	running string // the benchmark that runs now
	bytes   int64  // the peak
	in      string // the benchmark in which the peak was
}

// begin notes which benchmark runs from now on.
func (m *memoryPeak) begin(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = name
}

func (m *memoryPeak) note(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if bytes > m.bytes {
		m.bytes, m.in = bytes, m.running
	}
}

// row makes the last row of the table.
func (m *memoryPeak) row() row {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := memoryRow("anonymous memory of the page server, highest of all rows", m.bytes)
	if m.in != "" {
		r.Note = "in " + m.in
	}
	return r
}

func memoryRow(name string, bytes int64) row {
	const limit = 1 << 30
	return row{
		Name: name, Ours: float64(bytes) / 1e6, Peer: limit / 1e6, PeerName: "the limit",
		Ratio: float64(bytes) / limit, Unit: "MB",
	}
}

// memoryWatch reads a process's anonymous memory ten times a second, until stop.
type memoryWatch struct {
	pid  func() (int, error)
	all  *memoryPeak
	quit chan struct{}
	wg   sync.WaitGroup
	once sync.Once
	mu   sync.Mutex
	peak int64 // in bytes
	err  error // the first error
}

// watchMemory watches the process whose id pid gives. It may be another one at each look, or none.
func watchMemory(all *memoryPeak, pid func() (int, error)) *memoryWatch {
	w := &memoryWatch{pid: pid, all: all, quit: make(chan struct{})}
	w.wg.Go(func() {
		for {
			select {
			case <-w.quit:
				return
			case <-time.After(100 * time.Millisecond):
				w.look()
			}
		}
	})
	return w
}

// look reads the memory once. A page server that is not there, because it is restarted just now, has none.
func (w *memoryWatch) look() {
	var now int64
	pid, err := w.pid()
	if err == nil {
		now, err = anonymous(pid)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	w.all.note(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peak = max(w.peak, now)
	if w.err == nil {
		w.err = err
	}
}

// most gives the peak until now, in bytes, and the first error.
func (w *memoryWatch) most() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak, w.err
}

func (w *memoryWatch) stop() error {
	w.once.Do(func() { close(w.quit) })
	w.wg.Wait()
	_, err := w.most()
	return err
}
