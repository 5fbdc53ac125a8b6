package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/postgres"
)

// The settings name programs that root runs, and accounts as which root's helper runs others. So where the work
// directory belongs to the account of its page server, the two files are still root's: the account reads them, and
// a page server that was taken over changes nothing of what root does at the next start.

// readSettings reads a file of settings. doubt says why root must run nothing that it names; nil: it may.
func readSettings(path string) (text []byte, doubt, err error) {
	f, strange, err := openSettings(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if strange {
		doubt = doubted(path, fi)
	}
	text, err = io.ReadAll(f)
	return text, doubt, err
}

// openSettings opens a file of settings. strange: this process is root's, and the directory another account's: there root
// follows no link and waits for no pipe. The directory that is asked whose it is is the one in which the file is opened,
// whoever exchanges what is on the way to it.
func openSettings(path string) (f *os.File, strange bool, err error) {
	if os.Geteuid() != 0 {
		f, err = os.Open(path)
		return f, false, err
	}
	real, err := realParent(path)
	if err != nil {
		return nil, false, err
	}
	dir, err := dirfd.Open(filepath.Dir(real))
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	fi, err := dir.Stat()
	if err != nil {
		return nil, false, err
	}
	if ownerOf(fi) == 0 {
		f, err = os.Open(filepath.Join(dir.Path(), filepath.Base(real)))
		return f, false, err
	}
	f, err = dir.OpenFile(filepath.Base(real), os.O_RDONLY, 0)
	return f, true, err
}

// doubted refuses a file, in a directory of another account's, that others than root can change. The user of sudo is trusted with a directory of his own.
func doubted(path string, fi fs.FileInfo) error {
	if ownerOf(fi) == 0 && fi.Mode().Perm()&0o022 == 0 || os.Getenv("SUDO_UID") == strconv.Itoa(ownerOf(fi)) {
		return nil
	}
	return api.Errorf(api.ErrNotAllowed, "%s: user %d can change it, and it names programs that root would run: if you trust it, chown root %s and chmod go-w it", path, ownerOf(fi), path)
}

// realParent is a path whose last name alone may be a symbolic link.
func realParent(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// letRead lets the account of a page server read the settings, which are root's, in its work directory.
func letRead(dir *dirfd.Dir, as postgres.Account) error {
	var err error
	for _, name := range []string{configFile, serverFile} {
		err = errors.Join(err, letReadFile(dir, name, as))
	}
	return err
}

func letReadFile(dir *dirfd.Dir, name string, as postgres.Account) (err error) {
	f, err := dir.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) { // of an init that has not come so far
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	// What is not root's is left alone, and refused where it is read. A file with a second name may be any of root's.
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || st.Nlink != 1 {
		return nil
	}
	return errors.Join(f.Chmod(0o640), f.Chown(-1, as.GID))
}

// takeSettings replaces the settings that init as the page server's account has written by root's own: of what init was
// given, and the installation that was chosen.
func (e *environ) takeSettings(ctx context.Context, o initOptions, s *settings, as postgres.Account) (err error) {
	dir, err := dirfd.OpenReal(s.workdir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	fi, err := dir.Stat()
	if err == nil && ownerOf(fi) != as.UID {
		err = api.Errorf(api.ErrNotAllowed, "%s: another directory was put in its place: it belongs to user %d and not to %s", e.workdir, ownerOf(fi), as.Name)
	}
	if err != nil {
		return err
	}
	if err := s.findChosen(ctx, dir); err != nil {
		return err
	}
	if o.tls {
		s.TLS = ownTLS
	}
	for _, name := range []string{configFile, serverFile} { // the account may have the files open
		err = errors.Join(err, dir.Remove(name))
	}
	if err == nil {
		err = s.write(dir.Path())
	}
	return errors.Join(err, letRead(dir, as))
}

// findChosen finds the installation that init has chosen among those that are on this machine.
func (s *settings) findChosen(ctx context.Context, dir *dirfd.Dir) error {
	if s.PgDistrib != "" {
		return nil
	}
	const limit = 64 << 10
	text, err := dir.ReadFile(serverFile, limit)
	if err != nil {
		return err
	}
	var chosen serverConfig
	if err := decodeTOML(serverFile, text, &chosen); err != nil {
		return err
	}
	for _, d := range postgres.NewDistribs(s.distribs()).List(ctx) {
		if d.Dir == chosen.PgDistrib {
			s.PgDistrib = d.Dir
			return nil
		}
	}
	return api.Errorf(api.ErrNotAllowed, "%s: names %q, where no installation of PostgreSQL was found", serverFile, chosen.PgDistrib)
}
