package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"

	"zenith/internal/access"
	"zenith/tenants"
)

// reloader has a running page server take in what can change while it runs: at SIGHUP, which
// log rotation and `systemctl reload` send.
type reloader struct {
	e       *environ
	o       startOptions
	log     *slog.Logger
	level   *slog.LevelVar // of log
	current serverConfig   // the settings that the page server has
	asked   chan os.Signal
	store   *access.Store // users and tokens
	server  guarded       // lets in who the settings say
	doors   listeners
}

// harmless are signals that would end a program and mean nothing to the page server. SIGPIPE
// comes when stderr is a pipe whose reader was restarted. They are caught, not ignored: what a
// process ignores, the programs that it starts ignore too.
var harmless = []os.Signal{syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2}

// catchSignals keeps the signals that must not end the page server from doing so, until the process
// ends. SIGHUP comes through the channel.
func catchSignals() chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), harmless...)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	return asked
}

// begin has r reload in the background; end ends that, and waits for it.
func (r *reloader) begin(ctx context.Context, m retainer) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { r.run(ctx, m) })
	return func() {
		stop()
		running.Wait()
	}
}

// run reloads whenever it is asked to, until ctx ends.
func (r *reloader) run(ctx context.Context, m retainer) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.asked:
		}
		if err := r.reopenLog(); err != nil {
			r.log.Error("open the log anew", "file", r.e.path(logFile), "err", err)
		}
		if err := r.reload(m); err != nil {
			r.log.Error("read the settings again: they stay as they were", "err", err)
		}
	}
}

// reopenLog opens the log by its name: the file that was written up to now may have been moved away. Panics
// go where stderr goes, so that is made the new file. In the foreground stderr is not ours to change.
func (r *reloader) reopenLog() error {
	if r.o.notify == 0 {
		return nil
	}
	f, err := openLog(r.e.path(logFile))
	if err != nil {
		return err
	}
	return errors.Join(syscall.Dup3(int(f.Fd()), int(os.Stderr.Fd()), 0), f.Close())
}

// guarded is what can be told anew, while it runs, who is let in, how connections are encrypted, and how much a client
// may use.
type guarded interface {
	SetAccess(p *access.Policy)
	SetTLS(c *tls.Config) error
	SetLimits(limits access.RoleLimits)
}

// retainer is what can be told, while it runs, how much history to keep, and where to connect for others than the
// owner.
type retainer interface {
	SetRetention(all tenants.Retention, single map[string]tenants.Retention)
	SetEgress(e tenants.Egress)
}

// reload reads pageserver.toml again. If it cannot be read, nothing changes.
func (r *reloader) reload(m retainer) error {
	cfg, err := r.e.server()
	if err != nil {
		return err
	}
	s := &settings{serverConfig: *cfg}
	if err := s.override(r.o, r.e); err != nil {
		return err
	}
	if err := s.checkAccess(); err != nil {
		return err
	}
	config, err := r.e.loadTLS(s.TLS)
	if err == nil {
		err = r.current.Admin.check(config) // its address stays as it is until a restart
	}
	if err != nil {
		return err
	}
	running := serverConfig{Listen: r.current.Listen, Auth: s.Auth} // the port stays as it is until a restart
	if err := running.checkAccess(); err != nil {
		return err
	}
	policy, err := r.e.policy(&s.serverConfig)
	if err != nil {
		return err
	}
	policy.Store = r.store
	if err := r.doors.setSocketMode(running.socketMode()); err != nil {
		return err
	}
	if err := r.e.secure(&s.serverConfig, r.server, r.log); err != nil {
		return err
	}
	r.server.SetAccess(policy)
	r.server.SetLimits(s.Limits.limits())
	m.SetEgress(s.Egress.lists())
	m.SetRetention(s.Retention.over(tenants.DefaultRetention), s.tenantRetention())
	r.level.Set(s.LogLevel.level())
	waiting := changedKeys(r.current, s.serverConfig)
	r.log.Info("read the settings again", "file", r.e.path(serverFile), "needs_restart", strings.Join(waiting, " "))
	return nil
}

// reloaded are the keys of pageserver.toml that a running page server takes in.
var reloaded = []string{"auth", "egress", "limits", "log_level", "retention", "tenants", "tls"}

// changedKeys lists the keys of which the page server goes on with the value in old, until it is
// started again.
func changedKeys(old, now serverConfig) (keys []string) {
	if old.Retention.Interval != now.Retention.Interval {
		keys = append(keys, "retention.interval")
	}
	a, b := reflect.ValueOf(old), reflect.ValueOf(now)
	for i := range a.NumField() {
		if !a.Type().Field(i).IsExported() {
			continue
		}
		key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("toml"), ",")
		if !slices.Contains(reloaded, key) && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
