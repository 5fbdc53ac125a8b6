package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// benchConnect measures how long a client takes to connect over TCP, with TLS and SCRAM-SHA-256 bound to it, and to
// ask one question. The peer is a native server with the same certificate and as many iterations of SCRAM.
func benchConnect(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--tls", "--listen", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		return nil, err
	}
	if _, err := p.zenith("start"); err != nil {
		return nil, err
	}
	password, err := p.zenith("user", "create", "ann", "--role", "reader")
	if err != nil {
		return nil, err
	}
	server, err := p.secureNative(password)
	if err != nil {
		return nil, err
	}
	defer server.stop("fast")
	conninfo := func(port, user, database string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%s user=%s dbname=%s password=%s sslmode=verify-full channel_binding=require sslrootcert=%s",
			port, user, database, password, p.certificate())
	}
	ours := conninfo(strconv.Itoa(port), "ann", "x")
	theirs := conninfo(server.url[strings.LastIndexByte(server.url[:strings.LastIndexByte(server.url, '/')], ':')+1:strings.LastIndexByte(server.url, '/')], "postgres", "postgres")
	r, err := compare(o, "connect with SCRAM over TLS", "a native server", "ms",
		func() (float64, error) { return p.connects(ours, "show ssl") }, func() (float64, error) { return p.connects(theirs, "show ssl") })
	return []row{r}, err
}

func (p *place) certificate() string { return filepath.Join(p.dir, ".zenith", "server.crt") }

// secureNative starts a native server that lets clients in over TLS by a password only.
func (p *place) secureNative(password string) (*native, error) {
	dir := filepath.Join(p.dir, "native", "data")
	first, err := p.initNative(dir)
	if err != nil {
		return nil, err
	}
	_, err = p.pg("psql", "-Xqc", "ALTER USER postgres PASSWORD '"+password+"'", first.url)
	if err == nil {
		err = first.stop("fast")
	}
	for _, name := range []string{"server.crt", "server.key"} {
		var text []byte
		if err == nil {
			text, err = os.ReadFile(filepath.Join(p.dir, ".zenith", name))
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err == nil && os.Geteuid() == 0 {
			_, err = p.command("chown", "postgres:", filepath.Join(dir, name))
		}
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pg_hba.conf"), []byte("hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return p.startNativeWith(dir, "-c ssl=on -c shared_buffers="+sharedBuffers)
}

// connectTime is what pgbench -C says of the time that a connection took.
var connectTime = regexp.MustCompile(`average connection time = ([0-9.]+) ms`)

// connects gives the milliseconds that a connection takes, by pgbench, which makes one for each transaction.
func (p *place) connects(conninfo, query string) (float64, error) {
	script := filepath.Join(p.dir, "script.sql")
	if err := os.WriteFile(script, []byte(query+";\n"), 0o644); err != nil {
		return 0, err
	}
	out, err := p.pg("pgbench", "-n", "-C", "-c", "1", "-T", strconv.Itoa(p.o.seconds), "-f", script, conninfo)
	if err != nil {
		return 0, err
	}
	m := connectTime.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench says nothing of the time for connections: %s", out)
	}
	return strconv.ParseFloat(m[1], 64)
}
