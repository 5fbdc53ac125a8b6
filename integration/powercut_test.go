package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// disk is a file system in a file, whose power the test can cut.
type disk struct {
	t          *testing.T
	image, dir string
}

// newDisk makes a disk in the file image and mounts it at dir.
func newDisk(t *testing.T, image, dir string) *disk {
	t.Helper()
	return newDiskOf(t, image, dir, 1<<30)
}

// newDiskOf is newDisk for a disk of so many bytes.
func newDiskOf(t *testing.T, image, dir string, size int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		cannot(t, "a file system of the test's own needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			cannot(t, "a file system of the test's own: %v", err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		cannot(t, "a file system in a file: %v", err)
	}
	d := &disk{t: t, image: image, dir: dir}
	err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size), os.Mkdir(dir, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	d.command("mkfs.ext4", "-q", image)
	d.mount()
	return d
}

// cannot skips a test for which the machine lacks something. In CI (CI=true) that is a failure: there, a test that is
// never run would look as if it passed.
func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func (d *disk) command(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func (d *disk) mount() { d.t.Helper(); d.command("mount", "-o", "loop", d.image, d.dir) }

// unmount unmounts the disk, as soon as no process uses it any more.
func (d *disk) unmount() {
	d.t.Helper()
	eventually(d.t, "the disk's last user to go", func() bool { return exec.Command("umount", d.dir).Run() == nil })
}

// The ioctl by which a test can shut down ext4 (EXT4_IOC_SHUTDOWN) and XFS (XFS_IOC_GOINGDOWN).
const (
	iocShutdown = 0x8004587d // _IOR('X', 125, __u32)
	noLogFlush  = 2          // shut down without writing even the journal
)

// cutPower ends all writing to the disk at once. What was not synced is lost, unless the kernel happened to
// have written it already.
func (d *disk) cutPower() {
	d.t.Helper()
	lost := filepath.Join(d.dir, "lost")
	if err := os.WriteFile(lost, []byte("never synced"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	root, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), iocShutdown, noLogFlush); err != nil {
		d.t.Fatalf("shut the disk down: %v", err)
	}
}

// comeBack mounts the disk again after a power cut.
func (d *disk) comeBack() {
	d.t.Helper()
	d.unmount()
	d.mount()
	if text, err := os.ReadFile(filepath.Join(d.dir, "lost")); err == nil && len(text) > 0 {
		d.t.Fatal("the disk has what was never synced: this power cut proves nothing")
	}
}

// TestPowerCut cuts the power of the disk that has the work directory, under load. After that, the disk has only
// what was synced. Every acknowledged commit must be there, a slot that was made, and none that was dropped.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for name, setting := range writeModes {
		t.Run(name, func(t *testing.T) {
			s, l := emptySite(t), &ledger{}
			d := newDisk(t, filepath.Join(s.dir, "disk.img"), filepath.Join(s.dir, "disk"))
			s.work = filepath.Join(d.dir, ".zenith")
			t.Cleanup(func() {
				s.end()
				d.unmount()
			})
			s.ok("init", "--pg-distrib", pgDistrib)
			s.set(setting)
			s.ok("start")
			archive := openDir(t) // on another disk
			main := s.start("main", "--set", "archive_mode=on", "--set", fmt.Sprintf("archive_command=cp %%p %[1]s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f", archive))
			s.sql(main, "CREATE TABLE ledger (i int PRIMARY KEY)")
			d.command("sync", "-f", d.dir) // the kernel writes everything within half a minute; the test does not wait so long
			s.sql(main, "SELECT pg_create_physical_replication_slot('slot0', true)")
			for n := range 2 {
				slot := fmt.Sprintf("slot%d", n+1)
				l.during(s, main, 300, func() {
					s.sql(main, "SELECT pg_switch_wal()", "CHECKPOINT")
					have := l.count()
					eventually(t, "commits in a new segment", func() bool { return l.count() > have+20 })
					pid := pidIn(t, filepath.Join(s.work, "pageserver.pid"))
					// If the power were really gone, no client could receive an answer any more. Here it can, and the
					// answer may be wrong: if the cut comes during an fdatasync of a file with holes, ext4 reports success.
					l.close()
					s.sql(main, fmt.Sprintf("SELECT pg_create_physical_replication_slot('%s', true)", slot), fmt.Sprintf("SELECT pg_drop_replication_slot('slot%d')", n))
					d.cutPower()
					kill9(t, pid)
				})
				d.leave(s)
				d.comeBack()
				s.ok("start")
				main = s.start("main")
				l.check(s, main)
				s.want(main, "SELECT slot_name FROM pg_replication_slots", slot)
			}
			s.archived(main, archive)
			wholeArchive(s, archive, 3)
			s.checkIndexes(main)
			s.ok("check")
		})
	}
}

// leave unmounts the mounts of a killed page server, which keep the disk from being unmounted.
func (d *disk) leave(s *site) {
	d.t.Helper()
	mounts, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", "*", "data"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range mounts {
		d.command("umount", "-l", m)
	}
}
