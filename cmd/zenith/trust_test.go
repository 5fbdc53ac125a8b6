package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/postgres"
)

// stubSettings makes a work directory of an account's with settings of root's.
func stubSettings(t *testing.T, uid int) *environ {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has something to lose by the settings of another account")
	}
	t.Setenv("SUDO_UID", "")
	e := &environ{workdir: filepath.Join(t.TempDir(), "work"), err: new(bytes.Buffer)}
	s := &settings{}
	s.PgDistrib = "/opt/postgres"
	if err := errors.Join(os.Mkdir(e.workdir, 0o711), s.write(e.workdir), os.Chown(e.workdir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestSettingsOfOthers: root runs nothing that settings name which another account can have written.
func TestSettingsOfOthers(t *testing.T) {
	const server = 4242
	outside := filepath.Join(t.TempDir(), "outside")
	for _, c := range []struct {
		name    string
		dir     int
		change  func(e *environ, path string) error
		sudo    string
		refused bool
	}{
		{name: "root's", dir: server},
		{name: "the server's", dir: server, change: func(_ *environ, path string) error { return os.Chown(path, server, server) }, refused: true},
		{name: "the server may write", dir: server, change: func(_ *environ, path string) error { return os.Chmod(path, 0o660) }, refused: true},
		{name: "all may write", dir: server, change: func(_ *environ, path string) error { return os.Chmod(path, 0o666) }, refused: true},
		{name: "a link", dir: server, change: func(_ *environ, path string) error {
			return errors.Join(os.Rename(path, outside), os.Symlink(outside, path))
		}, refused: true},
		{name: "a pipe that nobody writes", dir: server, change: func(_ *environ, path string) error {
			return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600))
		}, refused: true},
		{name: "in root's directory", dir: 0, change: func(_ *environ, path string) error { return os.Chown(path, server, server) }},
		{name: "of the user of sudo", dir: server, change: func(_ *environ, path string) error { return os.Chown(path, server, server) }, sudo: "4242"},
		{name: "of another than the user of sudo", dir: server, change: func(_ *environ, path string) error { return os.Chown(path, server, server) }, sudo: "4243", refused: true},
	} {
		for _, file := range []string{configFile, serverFile} {
			t.Run(c.name+" "+file, func(t *testing.T) {
				e := stubSettings(t, c.dir)
				t.Setenv("SUDO_UID", c.sudo)
				if c.change != nil {
					if err := c.change(e, e.path(file)); err != nil {
						t.Fatal(err)
					}
				}
				cfg, err := e.config()
				if err == nil {
					_, err = e.distribs(cfg)
				}
				if (err != nil) != c.refused {
					t.Errorf("what they name is run: %v", err)
				}
				if _, serr := e.settings(t.Context(), startOptions{}); (errors.Is(serr, api.ErrNotAllowed) || errors.Is(serr, dirfd.ErrNotRegular)) != c.refused {
					t.Errorf("start: %v", serr)
				}
			})
		}
	}
}

// TestLetRead: the page server's account reads root's settings; what may be another file of root's is left alone.
func TestLetRead(t *testing.T) {
	const server = 4242
	e := stubSettings(t, server)
	secret := filepath.Join(filepath.Dir(e.workdir), "secret")
	if err := errors.Join(os.Remove(e.path(configFile)), os.WriteFile(secret, nil, 0o600), os.Link(secret, e.path(configFile))); err != nil {
		t.Fatal(err)
	}
	dir, err := dirfd.Open(e.workdir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := letRead(dir, postgres.Account{Name: "server", UID: server, GID: server}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{secret: "-rw-------", e.path(serverFile): "-rw-r-----"} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().String() != want {
			t.Errorf("%s: %v, %v, want %s", path, fi.Mode(), err, want)
		}
	}
}

// TestGiveTreeOutside: a file of root's that has a name outside is not given away by its name in the work directory.
func TestGiveTreeOutside(t *testing.T) {
	const server = 4242
	e := stubSettings(t, 0)
	secret := filepath.Join(filepath.Dir(e.workdir), "secret")
	err := errors.Join(os.WriteFile(secret, nil, 0o600), os.WriteFile(e.path("segment"), nil, 0o600), os.Link(e.path("segment"), e.path("second")))
	if err != nil {
		t.Fatal(err)
	}
	give := func() error {
		root, err := os.OpenRoot(e.workdir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		return giveTree(root, postgres.Account{Name: "server", UID: server, GID: server})
	}
	if err := os.Link(secret, e.path("link")); err != nil {
		t.Fatal(err)
	}
	if err := give(); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("with a link to a file outside: %v, want ErrNotAllowed", err)
	}
	if err := errors.Join(os.Remove(e.path("link")), give()); err != nil {
		t.Errorf("without: %v", err)
	}
	for path, want := range map[string]int{secret: 0, e.path("segment"): server, e.path("second"): server, e.path(configFile): 0, e.path(serverFile): 0, e.workdir: server} {
		if fi, err := os.Stat(path); err != nil || ownerOf(fi) != want {
			t.Errorf("%s belongs to %d, want %d, %v", path, ownerOf(fi), want, err)
		}
	}
}

// TestLogBehindLink: root opens the log of a work directory that is named by a symbolic link.
func TestLogBehindLink(t *testing.T) {
	e := stubSettings(t, 4242)
	link := filepath.Join(filepath.Dir(e.workdir), "link")
	if err := os.Symlink(e.workdir, link); err != nil {
		t.Fatal(err)
	}
	f, err := openLog(filepath.Join(link, logFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fi, err := os.Stat(e.path(logFile)); err != nil || ownerOf(fi) != 4242 {
		t.Errorf("the log: %v, %v, want one of account 4242", fi, err)
	}
}

// TestSettingsExchanged: root is not made to trust settings by a directory of its own that is put in the place of theirs.
func TestSettingsExchanged(t *testing.T) {
	e := stubSettings(t, 4242)
	if err := os.Chown(e.path(serverFile), 4242, 4242); err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(filepath.Dir(e.workdir), "roots")
	if err := errors.Join(os.Mkdir(roots, 0o700), os.WriteFile(filepath.Join(roots, serverFile), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, e.workdir, unix.AT_FDCWD, roots, unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 20000 {
		text, doubt, err := readSettings(e.path(serverFile))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 0 && doubt == nil {
			t.Fatal("root trusts what account 4242 has written")
		}
	}
}

// TestPasswordOfOthers: what the page server's account puts in the place of a password is not told to whoever is connected to.
func TestPasswordOfOthers(t *testing.T) {
	const server = 4242
	e := stubSettings(t, server)
	path := e.path("password")
	if err := errors.Join(os.WriteFile(path, []byte("secret\n"), 0o600), os.Chown(path, server, server)); err != nil {
		t.Fatal(err)
	}
	if password, err := e.readOwnPassword(path); err != nil || password != "secret" {
		t.Errorf("its own: %q, %v", password, err)
	}
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	if password, err := e.readOwnPassword(path); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("another account's: %q, %v", password, err)
	}
	if err := errors.Join(os.Rename(path, e.path("other")), os.Symlink(e.path("other"), path)); err != nil {
		t.Fatal(err)
	}
	if password, err := e.readOwnPassword(path); !errors.Is(err, dirfd.ErrNotRegular) {
		t.Errorf("a link: %q, %v", password, err)
	}
}

// TestTakeSettingsElsewhere: root writes settings into no directory that was put in the place of the one that it gave away.
func TestTakeSettingsElsewhere(t *testing.T) {
	const server = 4242
	e := stubSettings(t, server)
	as := postgres.Account{Name: "server", UID: server, GID: server}
	given := filepath.Join(filepath.Dir(e.workdir), "given")
	link := filepath.Join(filepath.Dir(e.workdir), "link")
	if err := errors.Join(os.Mkdir(given, 0o700), os.Symlink(given, link)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{given, link} {
		s := &settings{workdir: dir}
		s.PgDistrib = "/opt/postgres"
		if err := e.takeSettings(t.Context(), initOptions{}, s, as); err == nil {
			t.Errorf("%s: taken", dir)
		}
	}
	if entries, err := os.ReadDir(given); err != nil || len(entries) > 0 {
		t.Errorf("%v was written, %v", entries, err)
	}
}
