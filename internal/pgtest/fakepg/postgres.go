package fakepg

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// postmaster is a fake postgres that runs.
type postmaster struct {
	data, port string
	settings   map[string]string
	early      atomic.Bool // it is in recovery: clients are refused

	listener net.Listener // nil: it has no port
	clients  atomic.Int32 // that are connected
}

// Version is what bin/postgres --version prints.
const Version = "postgres (PostgreSQL) 15.99 (fake)\n"

func runPostgres(args []string) error {
	if len(args) == 1 && args[0] == "--version" {
		v := file("version")
		if v == "" {
			v = Version
		}
		_, err := os.Stdout.WriteString(v)
		return err
	}
	p := &postmaster{data: option(args, "-D"), port: option(args, "-p"), settings: map[string]string{}}
	for i, arg := range args {
		if arg == "-c" {
			name, value, _ := strings.Cut(args[i+1], "=")
			p.settings[name] = value
		}
	}
	for _, path := range []string{p.settings["config_file"], filepath.Join(p.data, "fake.conf")} {
		if err := p.configure(path); err != nil {
			return err
		}
	}
	logLine("LOG", fmt.Sprintf("started with %q", args))
	logLine("LOG", fmt.Sprintf("environment is %q", os.Environ()))
	return p.run()
}

func logLine(level, text string) {
	fmt.Fprintf(os.Stderr, "2026-01-01 00:00:00 UTC [%d] %s:  %s\n", os.Getpid(), level, text)
}

// configure reads a configuration file of simple lines NAME='VALUE', if it is there. What was
// set before counts: the command line is above all files.
func (p *postmaster) configure(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		if _, ok := p.settings[name]; !ok {
			p.settings[name] = strings.Trim(value, "'")
		}
	}
	return nil
}

// run is the server's life: it ends by a signal.
func (p *postmaster) run() error {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	if err := os.Chdir(p.data); err != nil {
		return err
	}
	if _, err := os.Stat("postmaster.pid"); err == nil {
		logLine("FATAL", "lock file \"postmaster.pid\" already exists")
		return exitStatus(1)
	}
	start := p.settings["fake.start"]
	if message, ok := strings.CutPrefix(start, "fatal:"); ok {
		logLine("LOG", "starting")
		logLine("FATAL", message)
		logLine("LOG", "database system is shut down")
		return exitStatus(1)
	}
	switch start {
	case "silent":
		return exitStatus(1)
	case "early":
		p.early.Store(true)
	}
	if err := p.writePIDFile("starting"); err != nil {
		return err
	}
	if start != "hang" {
		if err := p.listen(); err != nil {
			logLine("FATAL", err.Error())
			return exitStatus(1)
		}
		if err := p.finishRecovery(signals); err != nil {
			return err
		}
		if err := p.writePIDFile("ready"); err != nil {
			return err
		}
	}
	return p.waitStop(signals)
}

// writePIDFile writes postmaster.pid, whose lines are pidfile.h's LOCK_FILE_LINE constants. As
// from the real one, a reader never finds it empty the second time.
func (p *postmaster) writePIDFile(status string) error {
	f, err := os.OpenFile("postmaster.pid", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n%s\n1\n%s\n%s\n127.0.0.1\n0 0\n%-8s\n",
		os.Getpid(), p.data, p.port, p.settings["unix_socket_directories"], status)
	return errors.Join(err, f.Close())
}

// finishRecovery does what the end of recovery from a backup does to backup_label. fake.start=early
// waits before that until a test says so.
func (p *postmaster) finishRecovery(signals <-chan os.Signal) error {
	for p.early.Load() {
		if len(signals) > 0 {
			return nil
		}
		_, err := os.Stat("fake.recovered")
		p.early.Store(err != nil)
		time.Sleep(time.Millisecond)
	}
	err := os.Rename("backup_label", "backup_label.old")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// listen answers clients from now on. A server without a port has none.
func (p *postmaster) listen() error {
	if p.port == "" {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", p.port))
	if err != nil {
		return err
	}
	p.listener = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.clients.Add(1)
			go func() {
				defer p.clients.Add(-1)
				p.serve(conn)
			}()
		}
	}()
	return nil
}

// serve answers a startup packet, and keeps a client that was let in until it goes.
func (p *postmaster) serve(conn net.Conn) {
	defer conn.Close()
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))-4); err != nil {
		return
	}
	switch {
	case p.settings["fake.start"] == "refuse":
		p.refuse(conn, "28000", "no pg_hba.conf entry")
	case p.early.Load():
		logLine("LOG", "refused a client: 57P03")
		p.refuse(conn, "57P03", "the database system is starting up")
	default:
		ok := []byte{'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'}
		if _, err := conn.Write(ok); err == nil {
			_, _ = io.Copy(io.Discard, conn) // until the client goes
		}
	}
}

// refuse sends an ErrorResponse.
func (p *postmaster) refuse(conn net.Conn, code, message string) {
	body := "SFATAL\x00VFATAL\x00C" + code + "\x00M" + message + "\x00\x00"
	packet := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(body)))
	_, _ = conn.Write(append(packet, body...))
}

// waitStop waits for a signal that ends the server, and ends it.
func (p *postmaster) waitStop(signals <-chan os.Signal) error {
	smart := false // it ends when no client is connected
	poll := time.NewTicker(2 * time.Millisecond)
	for {
		select {
		case <-poll.C:
			if smart && p.clients.Load() == 0 {
				return p.shutDown()
			}
		case sig := <-signals:
			stop := p.settings["fake.stop"]
			switch {
			case stop == "never", stop == "ignore" && sig != syscall.SIGQUIT:
				logLine("LOG", "took no notice of "+sig.String())
			case stop == "bad":
				return exitStatus(1)
			case sig == syscall.SIGQUIT:
				return p.leave()
			case sig == syscall.SIGINT:
				return p.shutDown()
			default:
				smart = true
				if p.listener != nil {
					p.listener.Close()
				}
			}
		}
	}
}

// shutDown ends a server that ends well.
func (p *postmaster) shutDown() error {
	logLine("LOG", "database system is shut down")
	return p.leave()
}

// leave gives up the port, and then the pid file. As with the real one, whoever sees that the pid
// file is gone can have the port.
func (p *postmaster) leave() error {
	if p.listener != nil {
		p.listener.Close()
	}
	return os.Remove("postmaster.pid")
}
