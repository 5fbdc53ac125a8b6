package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/internal/privileged"
	"zenith/repo"
	"zenith/tenants"
)

// initOptions are the flags of init.
type initOptions struct {
	tenant      string
	listen      string
	auth        string
	tls         bool
	distrib     string
	major       int // of PostgreSQL; 0: any
	pgUser      string
	account     string
	helper      int // file descriptor of the socket of the privileged helper; 0: none
	conninfo    int // file descriptor from which the whole of fromServer is to be read; 0: none
	noChecksums bool
	fromPGData  string
	fromServer  string
	remote      string
	password    string // file with the password for fromServer
}

func cmdInit(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "make a work directory with a first tenant and its branch main",
		Description: `Examples:

   zenith init                                      a fresh cluster (initdb); superuser postgres
   zenith init --from-pgdata /var/lib/postgresql/15/main    a copy of a cleanly stopped data directory
   zenith init --from-server "host=db7 user=repl primary_slot_name=zenith"   a running server; a slot keeps WAL for us
   zenith -D /srv/zenith init --listen 0.0.0.0:6400  for clients elsewhere; each needs a password or a token
   zenith init --remote-pageserver db7:6400         only point to a page server elsewhere`,
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT`, where the page server is to listen besides the socket in the work directory; port 0: any free one"},
			&cli.StringFlag{Name: "auth", Usage: "`METHOD` by which clients show who they are: peer (by account, through the socket; the default), scram (by password or token; the default with --listen), or trust (over loopback they need not)"},
			&cli.BoolFlag{Name: "tls", Usage: "make a certificate, self-signed, so that connections over TCP are encrypted; print its fingerprint"},
			&cli.StringFlag{Name: "pg-distrib", Usage: "PostgreSQL of new tenants: `DIR` has bin/postgres (default: the newest that is installed)"},
			versionFlag(),
			&cli.StringFlag{Name: "pg-user", Usage: "`USER` that postgres runs as, where we are root (default: postgres)"},
			&cli.StringFlag{Name: "account", Usage: "`USER` that the page server runs as, where root starts it: default zenith, which is made if it is not there; root: it keeps all of root's rights"},
			&cli.IntFlag{Name: "helper-fd", Hidden: true}, &cli.IntFlag{Name: "conninfo-fd", Hidden: true},
			&cli.BoolFlag{Name: "no-data-checksums", Usage: "the fresh cluster has none, nor have those of later tenants"},
			&cli.StringFlag{Name: "from-pgdata", Usage: "load the data directory `DIR`, cleanly stopped"},
			&cli.StringFlag{Name: "from-server", Usage: "load a running server, `CONNINFO`, by base backup, and follow it from zenith start on"},
			passwordFileFlag(),
			&cli.StringFlag{Name: "remote-pageserver", Usage: "use the page server at `CONNINFO`; make none here"},
		},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			major, err := versionWanted(c)
			if err != nil {
				return err
			}
			return e.runInit(c.Context, initOptions{
				major: major, tenant: c.String("tenantid"), listen: c.String("listen"), auth: c.String("auth"), tls: c.Bool("tls"), distrib: c.String("pg-distrib"), pgUser: c.String("pg-user"),
				account: wantedAccount(c.String("account")), helper: c.Int("helper-fd"), conninfo: c.Int("conninfo-fd"),
				noChecksums: c.Bool("no-data-checksums"), fromPGData: c.String("from-pgdata"), fromServer: c.String("from-server"),
				remote: c.String("remote-pageserver"), password: c.String("password-file"),
			})
		}),
	}
}

// check refuses flags that contradict each other or are malformed, before anything is made.
func (o initOptions) check() error {
	sources := 0
	for _, s := range []string{o.fromPGData, o.fromServer, o.remote} {
		if s != "" {
			sources++
		}
	}
	var listen hostPort
	switch {
	case sources > 1:
		return usagef("--from-pgdata, --from-server and --remote-pageserver exclude each other")
	case sources > 0 && o.major != 0:
		return usagef("--pg-version is for a fresh cluster; an existing one has its version")
	case o.password != "" && o.fromServer == "":
		return usagef("--password-file is for --from-server")
	case sources > 0 && o.noChecksums:
		return usagef("--no-data-checksums is for a fresh cluster; an existing one has them or not")
	case o.tenant != "" && !hex32.MatchString(o.tenant):
		return usagef("--tenantid %q: want 32 lower-case hex digits", o.tenant)
	case o.listen != "" && listen.UnmarshalText([]byte(o.listen)) != nil:
		return usagef("--listen %q: want HOST:PORT", o.listen)
	}
	return o.checkAuth()
}

func (e *environ) runInit(ctx context.Context, o initOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.remote != "" {
		return e.initRemote(ctx, o)
	}
	s, err := e.initSettings(o)
	if err == nil && o.conninfo != 0 {
		o.fromServer, err = readConninfo(o.conninfo)
	} else if err == nil && o.fromServer != "" {
		o.fromServer, err = e.fullConninfo(o.fromServer, o.password, true)
	}
	if err != nil {
		return err
	}
	if as, err := serverAccount(o.account); o.helper == 0 && os.Geteuid() == 0 && (err != nil || as.UID != 0) {
		return e.initAs(ctx, o, s)
	}
	if o.helper != 0 {
		helper := privileged.NewClient(os.NewFile(uintptr(o.helper), "helper"))
		syscall.CloseOnExec(o.helper)
		defer helper.Close()
		s.helper = helper
	}
	return e.making(func() error { return e.initLocal(ctx, o, s) })
}

// initSettings makes the page server's settings from the flags.
func (e *environ) initSettings(o initOptions) (*settings, error) {
	workdir, err := e.absWorkdir()
	if err != nil {
		return nil, err
	}
	distrib := o.distrib
	if distrib != "" {
		if distrib, err = filepath.Abs(distrib); err != nil {
			return nil, err
		}
	}
	s := &settings{workdir: workdir, tenant: o.tenant}
	s.Account = o.account
	s.Listen, s.PgDistrib, s.PgUser, s.NoChecksums = hostPort(o.listen), distrib, o.pgUser, o.noChecksums
	if o.auth != "" {
		if err := s.Auth.Method.UnmarshalText([]byte(o.auth)); err != nil {
			return nil, usagef("--auth %v", err)
		}
	}
	if s.tenant == "" {
		s.tenant = repo.RandomTenantID().String()
	}
	return s, nil
}

// making makes the work directory, which must be new or empty, and calls fill to fill it. If fill fails,
// everything is removed again. While fill works there is a file init.unfinished: if this process is killed,
// the next init finds it, removes what is there and begins again.
func (e *environ) making(fill func() error) (err error) {
	if err := e.refuseExisting(); err != nil {
		return err
	}
	existed := isDir(e.workdir)
	if err := durable.MkdirAll(e.workdir, 0o711); err != nil { // x for all: the account of postgres goes through it
		return err
	}
	lock, err := lockFile(e.path(initFile))
	if err != nil {
		return fmt.Errorf("%s: another init: %w", e.workdir, err)
	}
	defer lock.Close()
	defer func() {
		if err == nil {
			err = e.commitInit()
			return
		}
		err = errors.Join(err, e.takeBack(existed))
	}()
	if err := e.clearUnfinished(); err != nil {
		return err
	}
	return fill()
}

// refuseExisting refuses a directory that is a work directory already, or has anything else in it. One that
// an unfinished init left is fine.
func (e *environ) refuseExisting() error {
	entries, err := os.ReadDir(e.workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == initFile {
			return nil
		}
	}
	if _, err := os.Lstat(e.path(configFile)); err == nil {
		return fmt.Errorf("%s: is a work directory already", e.workdir)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: is not empty", e.workdir)
	}
	return nil
}

// made are the files and directories that init makes in the work directory.
var made = []string{configFile, serverFile, certFile, keyFile, tenantsDir}

// clearUnfinished removes what an init that was killed left behind.
func (e *environ) clearUnfinished() error {
	entries, err := os.ReadDir(e.workdir)
	for _, entry := range entries {
		if slices.Contains(made, entry.Name()) || durable.Leftover(entry.Name()) {
			err = errors.Join(err, os.RemoveAll(e.path(entry.Name())))
		}
	}
	return err
}

func (e *environ) commitInit() error {
	if err := os.Remove(e.path(initFile)); err != nil {
		return err
	}
	return durable.SyncDir(e.workdir)
}

// takeBack removes everything that a failed init made, the work directory too unless it existed before.
func (e *environ) takeBack(existed bool) error {
	err := errors.Join(e.clearUnfinished(), os.Remove(e.path(initFile)))
	if !existed {
		err = errors.Join(err, os.Remove(e.workdir))
	}
	return err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// initLocal makes the first tenant, and then writes the settings: they are what makes a directory a work
// directory.
func (e *environ) initLocal(ctx context.Context, o initOptions, s *settings) error {
	from := o.fromPGData
	if from != "" {
		var err error
		if from, err = filepath.Abs(from); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.out, "initializing tenantid %s\n", s.tenant)
	info, err := e.firstTenant(ctx, s, tenants.InitOptions{Tenant: s.tenant, Major: o.major, FromPGData: from, FromServer: o.fromServer, LeftOut: e.tellLeftOut})
	if err != nil {
		return err
	}
	if err := s.chooseDistrib(ctx, info.Major); err != nil {
		return err
	}
	fingerprint := ""
	if o.tls {
		s.TLS = ownTLS
		if fingerprint, err = e.makeCert(s.Listen); err != nil {
			return err
		}
	}
	if err := s.write(e.workdir); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "created initial timeline %s timeline.lsn %s\n", info.TimelineID, info.LSN)
	fmt.Fprintf(e.out, "created %s branch\n", tenants.MainBranch)
	if fingerprint != "" {
		fmt.Fprintf(e.out, "created certificate %s, SHA-256 fingerprint %s\n", e.path(certFile), fingerprint)
	}
	return nil
}

// ownTLS are the files of init --tls.
var ownTLS = tlsConfig{Cert: certFile, Key: keyFile}

// write writes the settings into the work directory dir: those of the page server and, last, those of the command line,
// which make it a work directory.
func (s *settings) write(dir string) error {
	if err := writeTOML(filepath.Join(dir, serverFile), serverNote, &s.serverConfig); err != nil {
		return err
	}
	return writeTOML(filepath.Join(dir, configFile), configNote, &cliConfig{PageServer: ownSocket, PgDistrib: s.PgDistrib, TenantID: tenantID(s.tenant)})
}

// chooseDistrib notes where the PostgreSQL of the first tenant is, unless the user has named one: so that the
// page server goes on with that one when newer ones are installed.
func (s *settings) chooseDistrib(ctx context.Context, major int) error {
	if s.PgDistrib != "" {
		return nil
	}
	v, err := pg.ByMajor(major)
	if err != nil {
		return err
	}
	d, err := postgres.NewDistribs(s.distribs()).For(ctx, v)
	s.PgDistrib = d.Dir
	return err
}

// tellLeftOut says that a file of the imported data directory is not in the branch.
func (e *environ) tellLeftOut(path, why string) {
	fmt.Fprintf(e.err, "zenith: not imported: %s: %s\n", path, why)
}

// firstTenant makes the first tenant and loads its branch main, in this process: no page server runs yet.
func (e *environ) firstTenant(ctx context.Context, s *settings, o tenants.InitOptions) (info api.TenantInfo, err error) {
	m, err := newManager(s, slog.New(slog.DiscardHandler))
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	tell, end := e.newProgress()
	defer end()
	o.Progress = tell
	return m.CreateTenant(ctx, o)
}

// initRemote makes a work directory whose settings point to a page server elsewhere. That page server must
// answer.
func (e *environ) initRemote(ctx context.Context, o initOptions) error {
	cfg := &cliConfig{PageServer: o.remote, PgDistrib: o.distrib, PgUser: o.pgUser, TenantID: tenantID(o.tenant)}
	if err := checkConninfo(o.remote); err != nil {
		return err
	}
	if err := e.refuseExisting(); err != nil {
		return err
	}
	client, err := dial(ctx, o.remote)
	if err != nil {
		return err
	}
	defer client.Close()
	ids, err := client.TenantList(ctx)
	if err != nil {
		return err
	}
	if err := chooseTenant(cfg, ids); err != nil {
		return err
	}
	return e.making(func() error {
		if err := writeTOML(e.path(configFile), configNote, cfg); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "using page server %s\n", client.Addr())
		if cfg.TenantID != "" {
			fmt.Fprintf(e.out, "using tenantid %s\n", cfg.TenantID)
		}
		return nil
	})
}

// chooseTenant checks that the tenant that the user named is among ids; if none was named and there is only
// one tenant, it becomes the default.
func chooseTenant(cfg *cliConfig, ids []string) error {
	if cfg.TenantID == "" {
		if len(ids) == 1 {
			cfg.TenantID = tenantID(ids[0])
		}
		return nil
	}
	for _, id := range ids {
		if id == string(cfg.TenantID) {
			return nil
		}
	}
	return api.Errorf(api.ErrNotFound, "tenant %s: no such tenant", cfg.TenantID)
}
