package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// image is a file system in a file, mounted through a loop device.
type image struct {
	p         *place
	file, dir string
}

// copying is a file system that can copy a directory by sharing its blocks, and the commands for that: mkfs
// makes the file system, makeDir the directory that copy then copies.
type copying struct {
	name    string
	mkfs    []string
	makeDir []string
	copy    []string
}

var copyings = []copying{
	{"reflink copy on XFS", []string{"mkfs.xfs", "-q", "-m", "reflink=1"}, []string{"mkdir"}, []string{"cp", "-a", "--reflink=always"}},
	{"btrfs snapshot", []string{"mkfs.btrfs", "-q"}, []string{"btrfs", "-q", "subvolume", "create"}, []string{"btrfs", "-q", "subvolume", "snapshot"}},
}

// newImage makes a file system of size bytes and mounts it.
func (p *place) newImage(c copying, size int64) (*image, error) {
	file, err := os.CreateTemp(p.dir, "image")
	if err != nil {
		return nil, err
	}
	i := &image{p: p, file: file.Name(), dir: file.Name() + ".dir"}
	err = errors.Join(file.Truncate(size), file.Close(), os.Mkdir(i.dir, 0o755))
	if err == nil {
		_, err = p.command(c.mkfs[0], append(c.mkfs[1:], i.file)...)
	}
	if err == nil {
		_, err = p.command("mount", "-o", "loop", i.file, i.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("a file system for a %s (needs root, a loop device, xfsprogs, btrfs-progs): %w", c.name, err)
	}
	return i, nil
}

func (i *image) close() {
	i.p.tidy()
	_, _ = i.p.command("umount", i.dir)
	_ = os.Remove(i.file)
}

// copier copies the directory of a running server on an image.
type copier struct {
	copying
	image  *image
	source *native // the server that is copied
	copies int     // number of copies so far
}

// newCopier makes a file system of size bytes, copies a stopped cluster to it, and starts a server there.
func (p *place) newCopier(c copying, cluster string, size int64) (*copier, error) {
	i, err := p.newImage(c, size)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(i.dir, "pg", "data")
	err = p.ownDir(filepath.Dir(data))
	if err == nil {
		_, err = p.command(c.makeDir[0], append(c.makeDir[1:], data)...)
	}
	if err == nil {
		_, err = p.command("cp", "-a", cluster+"/.", data)
	}
	var source *native
	if err == nil {
		source, err = p.startNative(data)
	}
	if err == nil {
		err = p.work(source.url)
	}
	if err != nil {
		i.close()
		return nil, err
	}
	return &copier{copying: c, image: i, source: source}, nil
}

func (c *copier) close() {
	c.image.p.tidy()
	_ = c.source.stop("immediate")
	c.image.close()
}

// time copies the directory of the running server, starts a server on the copy, and gives the milliseconds
// until its first answer. That includes crash recovery.
func (c *copier) time() (float64, error) {
	c.copies++
	copied := fmt.Sprint(c.source.data, c.copies)
	var v *native
	ms, err := milliseconds(func() error {
		if _, err := c.image.p.command(c.copy[0], append(c.copy[1:], c.source.data, copied)...); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(copied, "postmaster.pid")); err != nil {
			return err
		}
		var err error
		if v, err = c.image.p.startNative(copied); err == nil {
			_, err = c.image.p.sql(v.url, firstQuery)
		}
		return err
	})
	if err == nil {
		err = v.stop("immediate")
	}
	return ms, err
}
