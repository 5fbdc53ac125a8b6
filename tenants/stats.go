package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// Stats says what the page server is and does now. It opens no tenant, reads nothing of a store, and waits for no
// postgres: it may be called every few seconds.
func (m *Manager) Stats(ctx context.Context) (*api.Stats, error) {
	ids, err := m.TenantList(ctx)
	if err != nil {
		return nil, err
	}
	mounts, err := m.MountList(ctx)
	if err != nil {
		return nil, err
	}
	disk, err := diskOf(m.cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &api.Stats{Now: time.Now(), Began: m.began, Dir: m.cfg.Dir, Disk: disk, Tenants: ids, Mounts: mounts, Counts: m.meters.read(), Replaced: replaced()}
	m.execs.Range(func(any, any) bool {
		s.Execs++
		return true
	})
	for _, t := range m.heldTenants() {
		ts, err := t.stats(ctx)
		m.unhold(t)
		if err != nil {
			return nil, err
		}
		s.Open = append(s.Open, ts)
	}
	slices.SortFunc(s.Open, func(a, b api.TenantStats) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

// heldTenants gives the tenants that are open, each held until the caller calls unhold.
func (m *Manager) heldTenants() (held []*tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	for _, t := range m.tenants {
		t.users++
		held = append(held, t)
	}
	return held
}

// unhold undoes a hold of heldTenants. Unlike release it lets the time go on for which the tenant has lain idle: a tenant
// that is only looked at is closed like one that is not.
func (m *Manager) unhold(t *tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.users--
	wake(m.freed)
}

// diskOf gives the size of the file system that dir is on.
func diskOf(dir string) (api.Disk, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return api.Disk{}, fmt.Errorf("size of the file system of %s: %w", dir, err)
	}
	return api.Disk{Size: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize}, nil
}

func (t *tenant) stats(ctx context.Context) (api.TenantStats, error) {
	s := api.TenantStats{ID: t.id.String(), Receivers: t.listReceivers()}
	var err error
	s.StoreBytes, s.WALBytes, err = t.sizes.get(t)
	for _, tl := range t.repo.Timelines() {
		b := api.BranchStats{Branch: describe(tl)}
		t.mu.Lock()
		follower := t.branches[tl.ID()]
		t.mu.Unlock()
		if follower != nil {
			b.Behind = follower.behind()
			b.IngestErr = follower.ingestError()
		}
		s.Branches = append(s.Branches, b)
	}
	for _, c := range t.listComputes() {
		s.Computes = append(s.Computes, c.describe())
		if o, ok := c.outdated(ctx); ok {
			s.Outdated = append(s.Outdated, o)
		}
	}
	return s, err
}

// outdated reports whether the postgres runs another release than the one that it would be started with now.
func (c *compute) outdated(ctx context.Context) (api.Outdated, bool) {
	c.mu.Lock()
	ran, running := c.distrib, c.state == stateRunning
	c.mu.Unlock()
	if !running || ran.Version == nil {
		return api.Outdated{}, false
	}
	now, err := c.t.m.pg.For(ctx, ran.Version)
	if err != nil || now.Release == ran.Release {
		return api.Outdated{}, false
	}
	return api.Outdated{Name: c.name, Runs: ran.Release, Installed: now.Release}, true
}

// replaced reports whether the program of this process was replaced on disk, as a package upgrade does.
func replaced() bool {
	path, err := os.Readlink("/proc/self/exe")
	return err == nil && strings.HasSuffix(path, " (deleted)")
}

// sizes are what a tenant takes on disk, as of a while ago: to add it up is a call for each of its files.
type sizes struct {
	mu         sync.Mutex
	at         time.Time
	store, wal int64
}

// sizesAge is how old sizes may be.
const sizesAge = 15 * time.Second

func (s *sizes) get(t *tenant) (store, wal int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < sizesAge {
		return s.store, s.wal, nil
	}
	if s.store, err = dirBytes(filepath.Join(t.dir, repo.StoreDir)); err != nil {
		return 0, 0, err
	}
	s.wal = 0
	for _, tl := range t.repo.Timelines() {
		n, err := dirBytes(tl.WALDir())
		if err != nil {
			return 0, 0, err
		}
		s.wal += n
	}
	s.at = time.Now()
	return s.store, s.wal, nil
}

// dirBytes adds up what the files in and below dir take on disk, in bytes: Badger makes files longer than what is in
// them. A file that goes away meanwhile does not count.
func dirBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				n += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return n, err
}
