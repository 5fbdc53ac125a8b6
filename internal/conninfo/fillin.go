package conninfo

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgpassfile"
	"github.com/jackc/pgservicefile"
)

// Environment is where FillIn finds what a connection string leaves out.
type Environment struct {
	Getenv func(name string) string
	Home   string // the user's home directory; "": none
	User   string // the user's name
	// Files says that the process which will connect has the same files: then the user's certificates are
	// named to it, and unix sockets.
	Files bool
}

// FillIn puts into a connection string what it leaves out, in the process of the user who wrote it, as libpq
// does when it connects: from the service file, the environment, the password file, the certificates in the
// home directory. What it gives passes CheckTaken of the owner. A password file that others may read is an
// error, if it would be needed.
func (i Info) FillIn(e Environment) (Info, error) {
	full := i.Without() // a copy
	full.fromEnvironment(e, "service", "servicefile", "passfile")
	if err := full.fromService(e); err != nil {
		return i, err
	}
	for name, k := range keywords {
		if !k.local && !(k.file && !e.Files) {
			full.fromEnvironment(e, name)
		}
	}
	full.Default("user", e.User)
	if e.Files && !full.Has("host") && !full.Has("hostaddr") {
		full.Default("host", defaultHost())
	}
	if err := full.certificates(e); err != nil {
		return i, err
	}
	if err := full.fromPasswordFile(e); err != nil {
		return i, err
	}
	return full.Without("service", "servicefile", "passfile"), nil
}

// fromEnvironment sets keywords that have no value from their environment variables.
func (i *Info) fromEnvironment(e Environment, names ...string) {
	for _, name := range names {
		if k := keywords[name]; k.env != "" {
			i.Default(name, e.Getenv(k.env))
		}
	}
}

// inHome gives the path of a file in the user's home directory, "" if there is no home or no such file.
func (e Environment) inHome(name ...string) string {
	if e.Home == "" {
		return ""
	}
	path := filepath.Join(append([]string{e.Home}, name...)...)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// fromService sets what the named service has and the string has not.
func (i *Info) fromService(e Environment) error {
	name := i.Get("service")
	if name == "" {
		return nil
	}
	path := cmp.Or(i.Get("servicefile"), e.inHome(".pg_service.conf"))
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return fmt.Errorf("read service file %q: %w", path, err)
	}
	service, err := file.GetService(name)
	if err != nil {
		return fmt.Errorf("service %q: not in %s", name, path)
	}
	for keyword, value := range service.Settings {
		i.Default(canonical(keyword), value)
	}
	return nil
}

// defaultHost is where libpq connects to without a host: the directory of Debian's or of PostgreSQL's own
// unix sockets, or this machine.
func defaultHost() string {
	for _, dir := range []string{"/var/run/postgresql", "/run/postgresql", "/tmp"} {
		if sockets, _ := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*")); len(sockets) > 0 {
			return dir
		}
	}
	return "localhost"
}

// certificates names the user's own certificates, and makes the paths of files absolute.
func (i *Info) certificates(e Environment) error {
	if e.Files {
		i.Default("sslrootcert", e.inHome(".postgresql", "root.crt"))
		if cert, key := e.inHome(".postgresql", "postgresql.crt"), e.inHome(".postgresql", "postgresql.key"); cert != "" && key != "" {
			i.Default("sslcert", cert)
			i.Default("sslkey", key)
		}
	}
	for name, k := range keywords {
		value := i.Get(name)
		if !k.file || value == "" || value == systemRoots {
			continue
		}
		if !e.Files {
			return fmt.Errorf("%s: %w: the page server, which connects, is on another machine", name, ErrNotTaken)
		}
		path, err := filepath.Abs(value)
		if err != nil {
			return err
		}
		i.Set(name, path)
	}
	return nil
}

// fromPasswordFile sets the password from the user's password file, if it has a line for the server. A
// replication connection is looked up with the database replication, as libpq does, and then with its own.
func (i *Info) fromPasswordFile(e Environment) error {
	if i.Get("password") != "" {
		return nil
	}
	path := cmp.Or(i.Get("passfile"), e.inHome(".pgpass"))
	if path == "" {
		return nil
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("password file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil // /dev/null, say
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("password file %s: others may read it; want mode 0600", path)
	}
	file, err := pgpassfile.ReadPassfile(path)
	if err != nil {
		return fmt.Errorf("read password file %s: %w", path, err)
	}
	host, _, _ := strings.Cut(cmp.Or(i.Get("host"), i.Get("hostaddr")), ",")
	port, _, _ := strings.Cut(i.Get("port"), ",")
	if IsSocket(host) {
		host = "localhost"
	}
	for _, dbname := range []string{"replication", cmp.Or(i.Get("dbname"), i.Get("user"))} {
		if password := file.FindPassword(host, cmp.Or(port, "5432"), dbname, i.Get("user")); password != "" {
			i.Set("password", password)
			return nil
		}
	}
	return nil
}
