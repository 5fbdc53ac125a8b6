package dirfd_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// tempDir gives an open directory in which there are a file, a directory, links to others outside, and a pipe
// that nobody uses.
func tempDir(t *testing.T) (d *dirfd.Dir, secret string) {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	secret = filepath.Join(top, "secret")
	err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(secret, []byte("secret"), 0o600), os.WriteFile(filepath.Join(dir, "file"), []byte("own"), 0o600),
		os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o700), os.Symlink(secret, filepath.Join(dir, "link")), os.Symlink("sub", filepath.Join(dir, "linkdir")),
		unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	d, err = dirfd.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, secret
}

// TestOpenFile: what is not a regular file is refused, whatever it is opened for, and stays as it is.
func TestOpenFile(t *testing.T) {
	d, secret := tempDir(t)
	for _, name := range []string{"link", "pipe", "sub", "linkdir"} {
		for _, flags := range []int{os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREATE, os.O_RDWR | os.O_TRUNC} {
			f, err := d.OpenFile(name, flags, 0o600)
			if err == nil {
				f.Close()
				t.Errorf("%s was opened with flags %#x", name, flags)
			} else if !errors.Is(err, dirfd.ErrNotRegular) && !errors.Is(err, unix.EISDIR) {
				t.Errorf("open %s: %v, want ErrNotRegular", name, err)
			}
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf("the file outside is %q now, %v", text, err)
	}
	f, err := d.OpenFile("file", os.O_RDWR|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("%v, %v: it is not truncated", fi, err)
	}
	if _, err := d.OpenFile("none", os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestLinkTo: only a regular file gets a second name.
func TestLinkTo(t *testing.T) {
	d, _ := tempDir(t)
	to, err := d.Sub("sub/deep")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, name := range []string{"link", "pipe"} {
		if err := d.LinkTo(name, to, name); !errors.Is(err, dirfd.ErrNotRegular) {
			t.Errorf("link %s: %v, want ErrNotRegular", name, err)
		}
	}
	if err := d.LinkTo("file", to, "second"); err != nil {
		t.Fatal(err)
	}
	if err := d.LinkTo("file", to, "second"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link over a name that is there: %v", err)
	}
	a, aerr := d.Lstat("file")
	b, berr := to.Lstat("second")
	if err := errors.Join(aerr, berr); err != nil || !os.SameFile(a, b) {
		t.Errorf("the second name is that of another file, %v", err)
	}
}

// TestSub: no link on the way to a directory is followed.
func TestSub(t *testing.T) {
	d, _ := tempDir(t)
	for _, rel := range []string{"linkdir", "linkdir/deep", "..", "../dir", "/"} {
		if sub, err := d.Sub(rel); err == nil {
			sub.Close()
			t.Errorf("%s was opened", rel)
		}
	}
}

// TestRemove removes names, never what a link leads to.
func TestRemove(t *testing.T) {
	d, secret := tempDir(t)
	for _, name := range []string{"link", "linkdir", "pipe", "file", "none"} {
		if err := d.Remove(name); err != nil {
			t.Error(err)
		}
	}
	left, err := d.List()
	if err != nil || len(left) != 1 || left[0].Name() != "sub" {
		t.Errorf("%v are left, %v", left, err)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}
