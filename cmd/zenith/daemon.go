package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/access"
	"zenith/internal/admin"
	"zenith/internal/pageserver"
	"zenith/internal/postgres"
	"zenith/internal/privileged"
)

// closeTimeout bounds how long the daemon takes to end: it stops every postgres and unmounts everything.
const closeTimeout = 5 * time.Minute

// startOptions are the flags of start. Those that are given override pageserver.toml.
type startOptions struct {
	foreground bool
	notify     int // file descriptor to which the daemon writes one line when it is ready; 0: none
	listen     string
	gateway    string
	distrib    string
	pgUser     string
	account    string
	helper     int // file descriptor of the socket of the privileged helper; 0: none
	maxLag     string
}

func startFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "foreground", Usage: "be the page server, log to stderr"},
		&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT`, besides the socket in the work directory; instead of what init was given"},
		&cli.StringFlag{Name: "gateway", Usage: "`HOST:PORT` for psql and drivers, by which any state can be reached: see docs/gateway.md"},
		&cli.StringFlag{Name: "pg-distrib", Usage: "`DIR` has bin/postgres; instead of what init was given"},
		&cli.StringFlag{Name: "pg-user", Usage: "`USER` that postgres runs as, where we are root, instead of what init was given"},
		&cli.StringFlag{Name: "max-lag", Usage: "`BYTES` of WAL (256MB) that ingest may be behind before fsync of WAL waits"},
		&cli.StringFlag{Name: "account", Usage: "`USER` that the page server runs as, where root starts it; instead of what init was given"},
		&cli.IntFlag{Name: "notify-fd", Hidden: true}, &cli.IntFlag{Name: "helper-fd", Hidden: true},
	}
}

func readStartOptions(c *cli.Context) (startOptions, error) {
	o := startOptions{
		foreground: c.Bool("foreground"), notify: c.Int("notify-fd"), listen: c.String("listen"), gateway: c.String("gateway"),
		distrib: c.String("pg-distrib"), pgUser: c.String("pg-user"), account: c.String("account"), helper: c.Int("helper-fd"), maxLag: c.String("max-lag"),
	}
	if o.distrib == "" {
		return o, nil
	}
	var err error
	o.distrib, err = filepath.Abs(o.distrib)
	return o, err
}

// settings merges flags and files into the page server's settings, and checks that they can work on this
// machine.
func (e *environ) settings(ctx context.Context, o startOptions) (*settings, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	server, err := e.server()
	if err != nil {
		return nil, err
	}
	if doubt := cmp.Or(server.doubt, cfg.doubt); doubt != nil {
		return nil, doubt
	}
	s := &settings{tenant: string(cfg.TenantID), damage: cfg.damage, serverConfig: *server}
	if s.workdir, err = e.absWorkdir(); err != nil {
		return nil, err
	}
	if err := s.override(o, e); err != nil {
		return nil, err
	}
	return s, e.checkSettings(ctx, s, o)
}

// checkSettings checks settings that are well formed against this machine: is that PostgreSQL installed,
// does that account exist. An error names the line of the file if the value is from there.
func (e *environ) checkSettings(ctx context.Context, s *settings, o startOptions) error {
	if err := s.checkAccess(); err != nil { // --listen may have changed what the file says
		return err
	}
	if _, err := e.policy(&s.serverConfig); err != nil {
		return err
	}
	config, err := e.loadTLS(s.TLS)
	if err != nil {
		return err
	}
	if err := s.Admin.check(config); err != nil {
		return blameLine(e.path(serverFile), err, "admin", "listen")
	}
	_, noUser := postgres.LookupAccount(nil, s.PgUser)
	for _, c := range []struct {
		key, flag string
		err       error
	}{
		{"pg_distrib", o.distrib, postgres.NewDistribs(postgres.DistribSettings{Default: s.PgDistrib}).Check(ctx)},
		{"pg_distribs", "", postgres.NewDistribs(postgres.DistribSettings{ByMajor: s.PgDistribs}).Check(ctx)},
		{"pg_user", o.pgUser, noUser},
	} {
		if c.err != nil && c.flag == "" {
			return blameLine(e.path(serverFile), c.err, c.key)
		}
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// override replaces settings from the file by the flags that are given.
func (s *settings) override(o startOptions, e *environ) error {
	if o.listen != "" {
		if err := s.Listen.UnmarshalText([]byte(o.listen)); err != nil {
			return usagef("--listen %v", err)
		}
	}
	if o.gateway != "" {
		if err := s.Gateway.Listen.UnmarshalText([]byte(o.gateway)); err != nil {
			return usagef("--gateway %v", err)
		}
	}
	if o.maxLag != "" {
		if err := s.MaxLag.UnmarshalText([]byte(o.maxLag)); err != nil {
			return usagef("--max-lag %v", err)
		}
	}
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&s.PgDistrib, o.distrib}, {&s.PgUser, o.pgUser}, {&s.Account, o.account},
		{(*string)(&s.LogFormat), e.logFormat}, {(*string)(&s.LogLevel), e.logLevel},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	return nil
}

// runDaemon runs the page server until a signal ends it, and tells the process that started it if it fails.
func (e *environ) runDaemon(ctx context.Context, o startOptions) error {
	if o.notify != 0 {
		syscall.CloseOnExec(o.notify)
	}
	err := e.daemon(ctx, o)
	if err != nil && o.notify != 0 {
		// `zenith start` prints this line to the user; report prints err into the log.
		return errors.Join(err, tellStarter(o.notify, fmt.Sprintf("%d %s", exitCode(err), oneLine(err.Error()))))
	}
	return err
}

func (e *environ) daemon(ctx context.Context, o startOptions) (err error) {
	asked := catchSignals()
	if err := errors.Join(forgetLibpq(), keepFromCores()); err != nil {
		return err
	}
	s, err := e.settings(ctx, o)
	if err != nil {
		return err
	}
	helper, err := e.privileges(s, o)
	if err != nil {
		return err
	}
	if helper != nil {
		s.helper = helper
		defer func() { err = errors.Join(err, helper.Close()) }()
	}
	identity, leave, err := e.claim()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	log, level, journal := e.startLog(s)
	policy, err := e.policy(&s.serverConfig)
	if err != nil {
		return err
	}
	policy.Store = access.OpenStore(e.path(usersFile), log)
	h, err := openHouse(s, log)
	if err != nil {
		return err
	}
	server := pageserver.New(h.svc, pageserver.Options{Log: log, Replication: h.svc, Identity: identity, MaxConns: maxConns(), Access: policy, Limits: s.Limits.limits()})
	guards := guards{server, h.front}
	if err := e.secure(&s.serverConfig, guards, log); err != nil {
		return errors.Join(err, h.abandon(ctx))
	}
	operators, err := e.startAdmin(s, policy, h.svc, server.Conns, h.front, journal, log)
	if err != nil {
		server.Close()
		return errors.Join(err, h.abandon(ctx))
	}
	if operators != nil {
		defer func() { err = errors.Join(err, operators.Close()) }()
		guards = append(guards, operators)
	}
	r := &reloader{e: e, o: o, log: log, level: level, current: s.serverConfig, asked: asked, store: policy.Store, server: guards, doors: h.doors}
	defer r.begin(ctx, h.svc)()
	if os.Geteuid() == 0 {
		log.Warn("the page server runs as root: whoever gets it to do more than it should, by what it reads of WAL, pages or the network, is root too", "setting", "account")
	}
	err = e.serveHouse(ctx, o, helper, h, server, log)
	log.Info("page server stopped", "err", err)
	return err
}

// startLog makes the log of a page server, and what keeps its last lines.
func (e *environ) startLog(s *settings) (*slog.Logger, *slog.LevelVar, *admin.Journal) {
	level := new(slog.LevelVar)
	level.Set(s.LogLevel.level())
	journal := new(admin.Journal)
	log := slog.New(journal.Handler(newLog(e.err, string(s.LogFormat), level).Handler()))
	raiseFiles(log)
	if s.damage != nil {
		log.Warn("the settings of the command line are damaged", "file", e.path(configFile), "lost", lostWithConfig, "err", s.damage)
	}
	return log, level, journal
}

// house is what a page server serves, and where it listens.
type house struct {
	doors        listeners
	front        *gate
	svc          service
	closeService func(context.Context) error
}

// openHouse listens, and opens what is served. Nobody is let in yet.
func openHouse(s *settings, log *slog.Logger) (h house, err error) {
	if h.doors, err = openDoors(s); err != nil {
		return h, err
	}
	if h.front, err = openGate(s); err != nil {
		return h, errors.Join(err, h.doors.close())
	}
	s.gateway = h.front.address()
	if h.svc, h.closeService, err = newService(s, log); err != nil {
		return h, errors.Join(err, h.doors.close(), h.front.doors.close())
	}
	h.front.begin(h.svc, s, log)
	return h, nil
}

// abandon closes a house that nobody was let into.
func (h house) abandon(ctx context.Context) error {
	return errors.Join(h.doors.close(), h.front.doors.close(), h.closeService(ctx))
}

// serveHouse serves until ctx ends, the privileged helper is gone, or that fails, and closes all there is then.
func (e *environ) serveHouse(ctx context.Context, o startOptions, helper *privileged.Client, h house, server *pageserver.Server, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if helper != nil {
		go stopWithout(ctx, helper, stop, log)
	}
	var gates sync.WaitGroup
	gates.Go(func() { h.front.run(ctx, log) })
	err := e.serve(ctx, o, server, h.doors, log)
	stop() // the gateway, too, whatever has ended the page server
	gates.Wait()
	server.Close()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, h.closeService(closing))
}

// claim takes the work directory for this process, as its only page server: no other one runs in it, and it is not a
// copy of one that does. identity is the directory's, see dirIdentity; leave gives it up.
func (e *environ) claim() (identity string, leave func() error, err error) {
	lock, err := lockFile(e.path(pidFileName))
	if err != nil {
		return "", nil, fmt.Errorf("%s: page server: %w", e.workdir, err)
	}
	leave = func() error { return errors.Join(os.Remove(e.path(pidFileName)), lock.Close()) }
	unlock, err := lockWorkdir(e.workdir)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("%s: page server: %w", e.workdir, err), leave())
	}
	leave = func() error { return errors.Join(unlock(), os.Remove(e.path(pidFileName)), lock.Close()) }
	if identity, err = dirIdentity(e.workdir); err == nil {
		err = e.checkCopied(identity)
	}
	if err == nil {
		err = writePid(lock)
	}
	if err != nil {
		return "", nil, errors.Join(err, leave())
	}
	return identity, leave, nil
}

// serve accepts connections until ctx ends. It writes the address file for the commands, and tells the
// process that started the daemon that it is ready.
func (e *environ) serve(ctx context.Context, o startOptions, server *pageserver.Server, doors listeners, log *slog.Logger) error {
	addr := doors.address()
	if err := e.writeRunning(addr); err != nil {
		return errors.Join(err, doors.close())
	}
	served := make(chan error, len(doors))
	for _, l := range doors {
		go func() { served <- server.Serve(l) }()
	}
	log.Info("page server started", "address", addr, "pid", os.Getpid(), "version", version())
	var err error
	if o.notify != 0 {
		err = tellStarter(o.notify, "ok "+addr)
	}
	if err == nil {
		select {
		case <-ctx.Done():
			log.Info("page server stops: asked to")
			signal.Reset(syscall.SIGINT, syscall.SIGTERM) // a second signal kills: the user may not want to wait
		case err = <-served:
		}
	}
	return errors.Join(err, e.removeRunning())
}

// tellStarter writes a line to the pipe of the process that started this one, and closes it.
func tellStarter(fd int, line string) error {
	f := os.NewFile(uintptr(fd), "notify")
	_, err := f.WriteString(line + "\n")
	if errors.Is(err, syscall.EPIPE) { // that process gave up waiting
		err = nil
	}
	return errors.Join(err, f.Close())
}

// wantedFiles is how many file descriptors the page server would like to have: a mount takes some dozens, a
// store some hundreds.
const wantedFiles = 65536

// raiseFiles raises the bound on the process's file descriptors, as far as it may, and says in the log if that is
// not much. (Go has raised it to the hard limit already; the hard limit is for root to raise.)
func raiseFiles(log *slog.Logger) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil && limit.Cur < wantedFiles {
		more := syscall.Rlimit{Cur: wantedFiles, Max: max(limit.Max, wantedFiles)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			return
		}
	}
	if err != nil || limit.Cur < fewFiles {
		log.Warn("there are few file descriptors: a third of them is for connections, the rest for mounts and stores", "limit", limit.Cur, "err", err)
	}
}

// fewFiles is how many file descriptors are few.
const fewFiles = 4096

// maxConns bounds connections to a third of the file descriptors that the process may have: mounts, stores and
// postgres servers need the others. 0, the default, where that is more.
func maxConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur/3 >= 500 {
		return 0
	}
	return max(int(limit.Cur/3), 1)
}
