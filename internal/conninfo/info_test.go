package conninfo_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/conninfo"
)

// pgconn is the oracle: what it understands, in either form, must come out of Parse and String with the same
// meaning.
func TestParseAgainstPgconn(t *testing.T) {
	for _, s := range []string{
		"host=db7 port=5433 user=repl password=geheim dbname=x application_name=zen",
		`  host = 'db 7'   user='it''s' password = 'a\'b\\c' `,
		`host=h user=u password=a\ b\\c`,
		`host=h user=u password=end\`,
		"host=h user=u password='' dbname='x y'",
		"host=a,b port=1,2 user=u",
		"postgresql://repl:geheim@db7:5433/x?application_name=zen",
		"postgres://u:p%40ss@h/db%20x?options=-c%20a%3Db+c",
		"postgresql://u@[::1]:99/x",
		"postgresql://u@a:1,b:2/x",
		"postgresql://u@/x?host=/tmp&port=7",
		"postgresql://u@h/x?ssl=true",
	} {
		want, werr := pgconn.ParseConfig(s)
		info, err := conninfo.Parse(s)
		if (err == nil) != (werr == nil) {
			t.Errorf("%s: got %v, pgconn says %v", s, err, werr)
			continue
		}
		if err != nil {
			continue
		}
		got, err := pgconn.ParseConfig(info.String())
		if err != nil {
			t.Errorf("%s became %s: %v", s, info, err)
			continue
		}
		if got.Host != want.Host || got.Port != want.Port || got.User != want.User || got.Password != want.Password || got.Database != want.Database ||
			len(got.Fallbacks) != len(want.Fallbacks) || got.RuntimeParams["options"] != want.RuntimeParams["options"] {
			t.Errorf("%s became %s: got %+v, want %+v", s, info, got, want)
		}
	}
}

func TestParseErrorsSayNothing(t *testing.T) {
	for _, s := range []string{"geheim", "password=geheim host", "password='geheim", "=geheim", "host=\x00geheim", "postgresql://u:geheim%zz@h/", "postgresql://u:geheim@h/?x"} {
		if _, err := conninfo.Parse(s); !errors.Is(err, conninfo.ErrSyntax) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestPublicHasNoSecrets(t *testing.T) {
	info, err := conninfo.Parse("host=h password=geheim sslpassword=geheim user=u")
	if err != nil || info.Public() != "host=h user=u" {
		t.Errorf("%s, %v", info.Public(), err)
	}
}

func TestCheckTaken(t *testing.T) {
	const nobody, owner, all = 0, 1, 2
	for s, who := range map[string]int{
		"host=h user=u password=p sslmode=require connect_timeout=3 keepalives_idle=5 application_name=x channel_binding=require": all,
		"host=h sslrootcert=system":                 all,
		"hostaddr=10.0.0.1 dbname=x":                all,
		"host=h sslrootcert=/etc/ca.pem":            owner,
		"host=h sslkey=/root/key sslcert=/root/crt": owner,
		"host=/run/postgresql":                      owner,
		"host=a,/run/postgresql":                    owner,
		"host=@abstract":                            owner,
		"host=h sslkey=key":                         nobody,
		"host=h passfile=/root/.pgpass":             nobody,
		"host=h passfile=''":                        nobody,
		"service=x host=h":                          nobody,
		"servicefile=/x host=h":                     nobody,
		"host=h sslcrl=/x":                          nobody,
		"host=h requirepeer=x":                      nobody,
		"host=h krbsrvname=x":                       nobody,
		"user=u":                                    nobody,
		"host='' user=u":                            nobody,
		"host=a,,b user=u":                          nobody,
		"postgresql://u@h/x?passfile=/root/.pgpass": nobody,
		"postgresql://u@%2Ftmp/x":                   owner,
	} {
		info, err := conninfo.Parse(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		for _, c := range []struct {
			owner bool
			want  bool
		}{{true, who >= owner}, {false, who == all}} {
			if err := info.CheckTaken(c.owner); (err == nil) != c.want {
				t.Errorf("%s, owner %v: %v", s, c.owner, err)
			}
		}
	}
}

func TestFillIn(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string, perm os.FileMode) {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), perm); err != nil {
			t.Fatal(err)
		}
	}
	write(".pgpass", "db7:5432:replication:repl:from-pgpass\nlocalhost:*:*:*:of-socket\n", 0o600)
	write(".pg_service.conf", "[far]\nhost=db9\nuser=serviced\n", 0o600)
	write(".postgresql/root.crt", "x", 0o600)
	for _, c := range []struct {
		name, in, want string
		env            map[string]string
		files          bool
	}{
		{name: "password file", in: "host=db7 user=repl", want: "host=db7 user=repl password=from-pgpass"},
		{name: "password given", in: "host=db7 user=repl password=p", want: "host=db7 user=repl password=p"},
		{name: "environment", in: "host=h", env: map[string]string{"PGPASSWORD": "e", "PGUSER": "eu"}, want: "host=h user=eu password=e"},
		{name: "account", in: "host=h password=p", want: "host=h password=p user=me"},
		{name: "service", in: "service=far password=p", want: "password=p host=db9 user=serviced"},
		{name: "service of the environment", in: "password=p host=h", env: map[string]string{"PGSERVICE": "far"}, want: "password=p host=h user=serviced"},
		{name: "certificates", in: "host=h user=u password=p", files: true, want: "host=h user=u password=p sslrootcert=" + home + "/.postgresql/root.crt"},
		{name: "a socket", in: "host=/tmp user=u", want: "host=/tmp user=u password=of-socket"},
	} {
		info, err := conninfo.Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := info.FillIn(conninfo.Environment{Getenv: func(n string) string { return c.env[n] }, Home: home, User: "me", Files: c.files})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want, _ := conninfo.Parse(c.want)
		for _, k := range append(got.Keywords(), want.Keywords()...) {
			if got.Get(k) != want.Get(k) || got.Has(k) != want.Has(k) {
				t.Errorf("%s: got %s, want %s", c.name, got, want)
			}
		}
		if err := got.CheckTaken(true); err != nil {
			t.Errorf("%s: %s: %v", c.name, got, err)
		}
	}
	info, _ := conninfo.Parse("host=h user=u sslkey=mine")
	if _, err := info.FillIn(conninfo.Environment{Getenv: func(string) string { return "" }}); !errors.Is(err, conninfo.ErrNotTaken) {
		t.Errorf("a file for a page server elsewhere: %v", err)
	}
	if err := os.Chmod(filepath.Join(home, ".pgpass"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, _ = conninfo.Parse("host=db7 user=repl")
	if _, err := info.FillIn(conninfo.Environment{Getenv: func(string) string { return "" }, Home: home}); err == nil {
		t.Error("a password file that others may read was used")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("host=h password='a b'")
	f.Add("postgresql://u:p@h:1/x?y=z")
	f.Fuzz(func(t *testing.T, s string) {
		info, err := conninfo.Parse(s)
		if err != nil {
			return
		}
		again, err := conninfo.Parse(info.String())
		if err != nil || again.String() != info.String() {
			t.Errorf("%q became %q, then %q (%v)", s, info, again, err)
		}
	})
}
