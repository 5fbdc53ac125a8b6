package lossyfs

import (
	"math/rand/v2"
)

// cutPower ends all use of the disk at once.
func (d *disk) cutPower() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// after gives the disk as the power cut has left it: what was durable, and of the rest what chance has written. All
// of it is durable.
func (d *disk) after(seed uint64) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &cut{random: rand.New(rand.NewPCG(seed, 0)), from: d, to: &disk{last: d.last}, done: map[*file]*file{}}
	c.chooseNames()
	c.to.root = c.copy(d.root)
	return c.to
}

// cut makes a disk of what another one has left.
type cut struct {
	random   *rand.Rand
	from, to *disk
	done     map[*file]*file
}

// chooseNames makes some of the changes durable that are not, in each directory the first few. Directories are taken
// in the order of their numbers, so that a seed means the same every time.
func (c *cut) chooseNames() {
	for _, dir := range c.directories() {
		if n := len(dir.pending); n > 0 {
			for keep := c.random.IntN(n + 1); keep > 0 && len(dir.pending) > n-keep; {
				dir.syncNames(1)
			}
		}
	}
}

// directories lists all directories that are there, or were when their names were durable.
func (c *cut) directories() (list []*file) {
	seen := map[*file]bool{}
	var visit func(f *file)
	visit = func(f *file) {
		if !f.isDir() || seen[f] {
			return
		}
		seen[f] = true
		list = append(list, f)
		for _, names := range []map[string]*file{f.names, f.durableNames} {
			for _, name := range sorted(names) {
				visit(names[name])
			}
		}
		for _, p := range f.pending {
			for _, s := range p.steps {
				if s.to != nil {
					visit(s.to)
				}
			}
		}
	}
	visit(c.from.root)
	return list
}

// copy gives a file, with all that is below it, as it is after the cut.
func (c *cut) copy(f *file) *file {
	if to := c.done[f]; to != nil { // another link
		to.links++
		return to
	}
	to := &file{no: f.no, mode: f.mode, uid: f.uid, gid: f.gid, mtime: f.mtime, links: 1, target: f.target, dirty: map[int64]bool{}}
	c.done[f] = to
	if f.isDir() {
		to.names, to.durableNames = map[string]*file{}, map[string]*file{}
		for _, name := range sorted(f.durableNames) {
			child := c.copy(f.durableNames[name])
			to.names[name], to.durableNames[name] = child, child
		}
		return to
	}
	to.now = c.content(f)
	to.durable = content{size: to.now.size, blocks: map[int64]*[blockSize]byte{}}
	for no, b := range to.now.blocks {
		to.durable.blocks[no] = b
	}
	return to
}

// content chooses for each block that was not synced what of it was written.
func (c *cut) content(f *file) content {
	to := content{size: f.durable.size, blocks: map[int64]*[blockSize]byte{}}
	for no, b := range f.durable.blocks {
		to.blocks[no] = b
	}
	if f.now.size != f.durable.size && c.random.IntN(2) == 0 {
		to.size = f.now.size
	}
	for _, no := range sortedBlocks(f.dirty) {
		switch c.random.IntN(3) {
		case 0:
		case 1:
			to.set(no, f.now.blocks[no])
		case 2:
			to.set(no, c.tear(f.durable.blocks[no], f.now.blocks[no]))
		}
	}
	for no := range to.blocks { // what is behind the end is not there
		switch end := to.size - no*blockSize; {
		case end <= 0:
			delete(to.blocks, no)
		case end < blockSize:
			b := *to.blocks[no]
			clear(b[end:])
			to.blocks[no] = &b
		}
	}
	return to
}

// tear gives a block of which some sectors are new.
func (c *cut) tear(old, now *[blockSize]byte) *[blockSize]byte {
	b := new([blockSize]byte)
	if old != nil {
		*b = *old
	}
	for at := 0; at < blockSize; at += sectorSize {
		if c.random.IntN(2) == 0 {
			continue
		}
		if now == nil {
			clear(b[at : at+sectorSize])
		} else {
			copy(b[at:at+sectorSize], now[at:])
		}
	}
	return b
}
