package pageserver_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/pageserver"
)

// hostileRuns is how many malformed startups, and as many malformed messages, a run of the suite sends.
const hostileRuns = 10000

// watched runs attack, and fails the test if the process has grown by more than a few megabytes, descriptors or goroutines
// some time after it.
func watched(t *testing.T, attack func()) {
	t.Helper()
	const mebibytes, descriptors, goroutines = 64, 20, 20
	measure := func() (mem, fds, routines int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		entries := must(os.ReadDir("/proc/self/fd"))(t)
		return int(m.HeapAlloc >> 20), len(entries), runtime.NumGoroutine()
	}
	mem, fds, routines := measure()
	attack()
	var now [3]int
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now[0], now[1], now[2] = measure()
		if now[0] <= mem+mebibytes && now[1] <= fds+descriptors && now[2] <= routines+goroutines {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("MiB, descriptors, goroutines: %v, before the attack %v", now, [3]int{mem, fds, routines})
		}
	}
}

// sides is how many hostile clients work side by side.
const sides = 8

// hostile has many clients each run attack with a random generator of its own, whose seed depends on the number
// of the run alone.
func hostile(t *testing.T, runs int, attack func(r *rand.Rand)) {
	t.Helper()
	var wg sync.WaitGroup
	for side := range sides {
		wg.Go(func() {
			for n := side; n < runs; n += sides {
				attack(rand.New(rand.NewPCG(12, uint64(n))))
			}
		})
	}
	wg.Wait()
}

// spit sends bytes on a connection of its own, waits for the server's end of it for a while, and leaves.
func spit(addr string, parts ...[]byte) {
	nc, err := net.Dial(network(addr), addr)
	if err != nil {
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(200 * time.Millisecond))
	for _, p := range parts {
		if _, err := nc.Write(p); err != nil {
			return
		}
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	io.Copy(io.Discard, nc) // how it ends is the server's business
}

// mutate changes some bytes, and perhaps cuts or lengthens them.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		switch r.IntN(4) {
		case 0:
			b = b[:r.IntN(len(b)+1)]
		case 1:
			b = append(b, garbage(r, 1+r.IntN(64))...)
		}
		if len(b) > 0 {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	}
	return b
}

func garbage(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// startups are what mutated startups are made of.
func startups() [][]byte {
	ssl := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 1234<<16|5679)
	gss := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 1234<<16|5680)
	cancel := append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 16}, 1234<<16|5678), make([]byte, 8)...)
	sasl := encodeAll(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefgh")})
	scram := append(startupPacket(0, "user", "ann"), sasl...)
	return [][]byte{
		startupPacket(0, "user", "ann", "database", tenantA+"/main", "replication", "true"), startupPacket(2, "user", "ann", "_pq_.x", "1"),
		ssl, gss, cancel, append(bytes.Clone(ssl), startupPacket(0, "user", "u")...), scram,
		append(bytes.Clone(scram), encodeAll(&pgproto3.SASLResponse{Data: []byte("c=biws,r=abcdefgh,p=AAAA")})...),
		{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	}
}

func encodeAll(msgs ...pgproto3.FrontendMessage) (b []byte) {
	for _, m := range msgs {
		b, _ = m.Encode(b) // of these messages none fails
	}
	return b
}

// TestHostileStartups: malformed startups, TLS hellos and SCRAM messages neither let anybody in, nor stop the server,
// nor make it grow.
func TestHostileStartups(t *testing.T) {
	g := newGuarded(t)
	must(0, g.store.CreateUser("bob", access.Grant{Role: access.Reader}, must(access.NewVerifier("x"))(t)))(t)
	must(pageserver.Dial(t.Context(), g.conninfo("bob", "x", "")))(t).Close() // from here, before others guess here
	seeds := startups()
	watched(t, func() {
		hostile(t, hostileRuns, func(r *rand.Rand) {
			if r.IntN(10) == 0 {
				spit(g.addr, garbage(r, r.IntN(300)))
				return
			}
			spit(g.addr, mutate(r, seeds[r.IntN(len(seeds))]))
		})
	})
	c := must(pageserver.Dial(t.Context(), g.conninfo("bob", "x", "")))(t)
	defer c.Close()
	must(c.Status(t.Context()))(t)
}

// TestHostileMessages: malformed messages of clients that were let in.
func TestHostileMessages(t *testing.T) {
	addr := serveTCP(t, newFake(), pageserver.Options{Access: trust, Replication: newFakeBranch(1 << 10)})
	start := startupPacket(0, "user", "u", "replication", "true")
	seeds := [][]byte{
		encodeAll(&pgproto3.Query{String: "branch_list " + tenantA}, &pgproto3.Sync{}),
		encodeAll(&pgproto3.Parse{Name: "s", Query: "lsn $1 $2", ParameterOIDs: []uint32{25, 25}},
			&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte(tenantA), []byte("main")}, ResultFormatCodes: []int16{1}},
			&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Sync{}),
		encodeAll(&pgproto3.Query{String: "pagestream " + tenantA + " main"}, &pgproto3.CopyData{Data: make([]byte, 26)}, &pgproto3.CopyDone{}),
		encodeAll(&pgproto3.Query{String: "push_receive " + tenantA + " '{}'"}, &pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyFail{Message: "x"}),
		encodeAll(&pgproto3.Query{String: "START_REPLICATION PHYSICAL 0/300000"}, &pgproto3.CopyData{Data: append([]byte("r"), make([]byte, 33)...)}),
		encodeAll(&pgproto3.Query{String: "user_create x admin 'SCRAM-SHA-256$1:eA==$eA==:eA=='"}, &pgproto3.FunctionCall{}, &pgproto3.Flush{}),
	}
	watched(t, func() {
		hostile(t, hostileRuns, func(r *rand.Rand) { spit(addr, start, mutate(r, seeds[r.IntN(len(seeds))])) })
	})
	connect(t, addr, nil).query("status")
}

// TestSlowClients: clients that send a byte now and then, in the startup or in a message, and clients that leave a COPY half
// open, are cut, and keep nobody else from the server.
func TestSlowClients(t *testing.T) {
	g := newGuardedWith(t, pageserver.Options{StartupTimeout: 300 * time.Millisecond, AuthTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond})
	scram := append(startupPacket(0, "user", "ann"), encodeAll(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefgh")})...)
	watched(t, func() {
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				nc, err := net.Dial("tcp", g.addr)
				if err != nil {
					return
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(patience))
				for i := 0; i < len(scram)-n%3; i++ {
					if _, err := nc.Write(scram[i : i+1]); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				if n, err := io.Copy(io.Discard, nc); err != nil && n > 1000 {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		}
		wg.Wait()
	})
	addr := serveTCP(t, newFake(), pageserver.Options{Access: trust, IdleTimeout: 100 * time.Millisecond})
	watched(t, func() {
		var open []*wire
		for range 50 {
			for _, query := range []string{"pagestream " + tenantA + " main", "push_receive " + tenantA + " '{}'"} {
				w := connect(t, addr, nil)
				w.send(&pgproto3.Query{String: query}, &pgproto3.CopyData{Data: []byte("half")})
				open = append(open, w)
			}
		}
		for _, w := range open {
			if _, err := io.Copy(io.Discard, w.Conn); err != nil {
				t.Errorf("a half-open COPY is not cut: %v", err)
			}
			w.Conn.Close()
		}
	})
	connect(t, addr, nil).query("status")
}

// TestFlood: more connections than there may be, at once and again and again, and messages as long as they may be.
func TestFlood(t *testing.T) {
	addr := serveTCP(t, newFake(), pageserver.Options{Access: trust, MaxConns: 20, StartupTimeout: 200 * time.Millisecond})
	watched(t, func() {
		hostile(t, 3000, func(*rand.Rand) {
			nc, err := net.Dial("tcp", addr)
			if err == nil {
				nc.Close()
			}
		})
		long := encodeAll(&pgproto3.Query{String: strings.Repeat("x", 1<<20-10)})
		hostile(t, 200, func(*rand.Rand) { spit(addr, startupPacket(0, "user", "u"), long, long) })
		// Lengths that are lies must not be believed before the bytes are there.
		hostile(t, 500, func(*rand.Rand) { spit(addr, startupPacket(0, "user", "u"), []byte("Q\x7f\xff\xff\xff")) })
	})
	connect(t, addr, nil).query("status")
}
