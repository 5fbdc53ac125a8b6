package conninfo

import (
	"errors"
	"fmt"
	"path/filepath"
)

// ErrNotTaken is returned when a connection string has a keyword that another process does not take: it
// would have that process read its own files.
var ErrNotTaken = errors.New("not taken over")

// keyword says what a keyword of connection strings may do in a process that got the string from elsewhere.
type keyword struct {
	env    string // the environment variable that stands in for it
	secret bool   // its value is not for messages, lists and logs
	file   bool   // its value is the path of a file, which the connecting process reads
	local  bool   // it is for the user's own process: FillIn replaces it by what it leads to
}

// keywords are all that a connection string may have. What libpq knows besides (Kerberos, revocation lists,
// ...) the library that connects for zenith does not.
var keywords = map[string]keyword{
	"host":                      {env: "PGHOST"},
	"hostaddr":                  {env: "PGHOSTADDR"},
	"port":                      {env: "PGPORT"},
	"dbname":                    {env: "PGDATABASE"},
	"user":                      {env: "PGUSER"},
	"password":                  {env: "PGPASSWORD", secret: true},
	"application_name":          {env: "PGAPPNAME"},
	"fallback_application_name": {},
	"options":                   {env: "PGOPTIONS"},
	"client_encoding":           {},
	"replication":               {},
	"primary_slot_name":         {},
	"target_session_attrs":      {env: "PGTARGETSESSIONATTRS"},

	"connect_timeout":      {env: "PGCONNECT_TIMEOUT"},
	"keepalives":           {},
	"keepalives_idle":      {},
	"keepalives_interval":  {},
	"keepalives_count":     {},
	"min_protocol_version": {env: "PGMINPROTOCOLVERSION"},
	"max_protocol_version": {env: "PGMAXPROTOCOLVERSION"},

	"channel_binding": {env: "PGCHANNELBINDING"},
	"require_auth":    {env: "PGREQUIREAUTH"},
	"gssencmode":      {},
	"sslmode":         {env: "PGSSLMODE"},
	"sslnegotiation":  {env: "PGSSLNEGOTIATION"},
	"sslsni":          {env: "PGSSLSNI"},
	"sslrootcert":     {env: "PGSSLROOTCERT", file: true},
	"sslcert":         {env: "PGSSLCERT", file: true},
	"sslkey":          {env: "PGSSLKEY", file: true},
	"sslpassword":     {env: "PGSSLPASSWORD", secret: true},

	"passfile":    {env: "PGPASSFILE", local: true},
	"service":     {env: "PGSERVICE", local: true},
	"servicefile": {env: "PGSERVICEFILE", local: true},
}

// systemRoots is the sslrootcert that is no file: the certificates that the system trusts.
const systemRoots = "system"

func secrets() (list []string) {
	for name, k := range keywords {
		if k.secret {
			list = append(list, name)
		}
	}
	return list
}

// CheckTaken makes sure that a connection string which came from another process has only keywords that
// reach nothing but the server that it names: ErrNotTaken. owner says that the string is from somebody who
// may read every file that this process may: then it may name files by absolute paths, and unix sockets.
func (i Info) CheckTaken(owner bool) error {
	for _, name := range i.order {
		k, known := keywords[name]
		value := i.values[name]
		switch isFile := k.file && value != "" && value != systemRoots; {
		case !known:
			return fmt.Errorf("%w: unknown keyword %.40q", ErrSyntax, name)
		case k.local:
			return fmt.Errorf("%s: %w: it leads to a file of the page server's machine", name, ErrNotTaken)
		case isFile && !owner:
			return fmt.Errorf("%s: %w: a file of the page server's machine is for its owner to name", name, ErrNotTaken)
		case isFile && !filepath.IsAbs(value):
			return fmt.Errorf("%s: %w: want an absolute path", name, ErrNotTaken)
		}
	}
	if !i.Has("host") && !i.Has("hostaddr") {
		return fmt.Errorf("%w: it names no host", ErrSyntax)
	}
	for _, host := range i.Hosts() {
		switch {
		case host == "" && !i.Has("hostaddr"):
			return fmt.Errorf("%w: it has an empty host", ErrSyntax)
		case IsSocket(host) && !owner:
			return fmt.Errorf("host: %w: a unix socket of the page server's machine is for its owner to name", ErrNotTaken)
		}
	}
	return nil
}
