package access_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func verifier(t *testing.T, password string) access.Verifier {
	t.Helper()
	v, err := access.NewVerifier(password)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// logIn has a user show a password, and gives who it is.
func logIn(s *access.Store, user, password string) (access.Principal, error) {
	proof, _, err := access.NewProof(password, access.Binding{}, []string{access.MechanismScram})
	if err != nil {
		return access.Principal{}, err
	}
	first, _ := proof.Step("")
	conv, answer, err := s.Begin(user, access.MechanismScram, first, access.Binding{})
	if err != nil {
		return access.Principal{}, err
	}
	last, err := proof.Step(answer)
	if err != nil {
		return access.Principal{}, err
	}
	who, _, err := conv.Finish(last)
	return who, err
}

// TestStore: users and tokens outlive the process, in a file that only its owner reads and that lets nobody in.
func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	s := access.OpenStore(path, quiet())
	grant := access.Grant{Role: access.Writer, Tenants: access.Tenants(strings.Repeat("a", 32) + "," + strings.Repeat("b", 32))}
	if err := s.CreateUser("ann", grant, verifier(t, "ann's password")); err != nil {
		t.Fatal(err)
	}
	token, secret, err := s.CreateToken(access.Grant{Role: access.Reader}, time.Hour, "ci")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "token", "", "a b", "x\n", strings.Repeat("x", 64)} {
		if err := s.CreateUser(name, grant, verifier(t, "x")); err == nil {
			t.Errorf("user %q was made", name)
		}
	}
	info, err := os.Stat(path)
	text, readErr := os.ReadFile(path)
	if err != nil || readErr != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte("ann's password")) || bytes.Contains(text, []byte(secret)) {
		t.Errorf("the file: %v, %v, %v", info, err, readErr)
	}
	s = access.OpenStore(path, quiet())
	if who, err := logIn(s, "ann", "ann's password"); err != nil || who.Grant != grant || who.Name != "ann" {
		t.Errorf("got %+v, %v", who, err)
	}
	if who, err := logIn(s, access.TokenUser, secret); err != nil || who.Name != token.ID || who.Role != access.Reader {
		t.Errorf("got %+v, %v", who, err)
	}
	if err := s.SetPassword("ann", verifier(t, "another")); err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"ann": "ann's password", "bob": "another", access.TokenUser: "another"} {
		if who, err := logIn(s, user, password); !errors.Is(err, access.ErrDenied) || who.Role != access.None {
			t.Errorf("%s: got %+v, %v", user, who, err)
		}
	}
	if err := s.RevokeToken(token.ID, func(tenants access.Tenants) bool { return tenants != "" }); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a token for all tenants was revoked by somebody who may not know it: %v", err)
	}

	// From a damaged file nobody is let in, and it is not lost when it is written anew.
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s = access.OpenStore(path, quiet())
	if _, err := logIn(s, "ann", "another"); !errors.Is(err, access.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if err := s.CreateUser("eve", grant, verifier(t, "x")); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(path + ".damaged-1"); err != nil || !bytes.Equal(kept, text[:len(text)/2]) {
		t.Errorf("what was in the damaged file is gone: %v", err)
	}
}

// TestUnknownUsersLookAlike: one that does not exist is told a salt, the same each time, and fails where a wrong password
// does.
func TestUnknownUsersLookAlike(t *testing.T) {
	s := access.OpenStore(filepath.Join(t.TempDir(), "users"), quiet())
	salt := func(user string) string {
		_, answer, err := s.Begin(user, access.MechanismScram, "n,,n=,r=abc", access.Binding{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(answer, ",")[1]
	}
	if a, b, c := salt("a"), salt("a"), salt("c"); a != b || a == c {
		t.Errorf("salts %s, %s, %s", a, b, c)
	}
	for _, bad := range []string{"", "n,,", "p=tls-server-end-point,,n=,r=abc", "y,,n=,r=", strings.Repeat("n", 10000)} {
		if _, _, err := s.Begin("a", access.MechanismScram, bad, access.Binding{}); bad != "y,,n=,r=" && !errors.Is(err, api.ErrProtocol) {
			t.Errorf("%.20q: got %v", bad, err)
		}
	}
	if _, _, err := s.Begin("a", access.MechanismScramPlus, "p=tls-server-end-point,,n=,r=abc", access.Binding{}); !errors.Is(err, api.ErrProtocol) {
		t.Errorf("channel binding without TLS: %v", err)
	}
}

// TestVerifierText: the text form of a verifier, which is that of pg_authid.
func TestVerifierText(t *testing.T) {
	v := verifier(t, "x")
	text, err := v.MarshalText()
	var back access.Verifier
	if err == nil {
		err = back.UnmarshalText(text)
	}
	again, _ := back.MarshalText()
	if err != nil || !bytes.Equal(text, again) || !strings.HasPrefix(string(text), "SCRAM-SHA-256$4096:") {
		t.Errorf("%s, %s, %v", text, again, err)
	}
	for _, bad := range []string{"", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:eA==$eA==:eA==", "SCRAM-SHA-256$4096:eA==$eA==:eA==", "SCRAM-SHA-256$99999999:eA==$eA==:eA==", string(text) + "x"} {
		if err := new(access.Verifier).UnmarshalText([]byte(bad)); err == nil || strings.Contains(err.Error(), "eA==") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestGrants(t *testing.T) {
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	two := access.Grant{Role: access.Writer, Tenants: access.Tenants(a + "," + b)}
	for text, want := range map[string]access.Grant{
		"reader": {Role: access.Reader}, "reader all": {Role: access.Reader}, "admin " + a: {Role: access.Admin, Tenants: access.Tenants(a)},
		"writer " + a + "," + b: two, "writer " + b + " " + a + "," + b: two,
		"owner": {}, "none": {}, "guest": {}, "reader x": {}, "reader ": {}, "": {}, "reader ,": {}, "reader all," + a: {}, "reader " + a + ",x": {},
		"reader " + strings.Repeat(a+",", 100) + strings.ToUpper(a): {},
	} {
		var g access.Grant
		if err := g.UnmarshalText([]byte(text)); (err == nil) != (want.Role != access.None) || err == nil && g != want {
			t.Errorf("%q: %+v, %v", text, g, err)
		}
	}
	one := access.Grant{Role: access.Admin, Tenants: access.Tenants(a)}
	for _, tt := range []struct {
		grant  access.Grant
		tenant string
		want   access.Role
	}{
		{one, a, access.Admin}, {one, b, access.None}, {one, "", access.None}, {one, "all", access.None},
		{two, a, access.Writer}, {two, b, access.Writer}, {two, "", access.None}, {two, a + "," + b, access.None}, {two, ",", access.None},
		{access.Grant{Role: access.Reader}, a, access.Reader}, {access.Grant{Role: access.Reader}, "", access.Reader},
	} {
		if got := tt.grant.On(tt.tenant); got != tt.want {
			t.Errorf("%v gives %v for %q, want %v", tt.grant, got, tt.tenant, tt.want)
		}
	}
	if all := access.Tenants(""); !all.Covers(all) || !all.Covers(two.Tenants) || two.Tenants.Covers(all) || one.Tenants.Covers(two.Tenants) || !two.Tenants.Covers(one.Tenants) {
		t.Error("some tenants cover others, or do not, that they should not, or should")
	}
	if one.Tenants.Only() != a || two.Tenants.Only() != "" || access.Tenants("").Only() != "" {
		t.Error("what is one tenant is not, or what is none")
	}
}

// TestTokenUsers: a token is a password of the user token, and of a user of its own, which is compared with no other.
// What is told of a token that does not exist, or not any more, is what is told of one that does.
func TestTokenUsers(t *testing.T) {
	s := access.OpenStore(filepath.Join(t.TempDir(), "users"), quiet())
	var tokens []api.Token
	var secrets []string
	for range 3 {
		made, secret, err := s.CreateToken(access.Grant{Role: access.Reader}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		tokens, secrets = append(tokens, made), append(secrets, secret)
	}
	own := "token." + tokens[1].ID
	if got := access.UserOf(secrets[1]); got != own {
		t.Errorf("the user of %s is %s, want %s", secrets[1], got, own)
	}
	for _, other := range []string{"", "zenith_", "zenith_zzzzzzzz_x", "zenith_abcd_x", "zenith_" + tokens[0].ID} {
		if got := access.UserOf(other); got != access.TokenUser {
			t.Errorf("the user of %q is %s", other, got)
		}
	}
	for _, tt := range []struct {
		user, secret string
		ok           bool
	}{
		{access.TokenUser, secrets[1], true}, {own, secrets[1], true}, {own, secrets[0], false}, {"token.", secrets[1], false}, {"token.00000000", secrets[1], false},
	} {
		who, err := logIn(s, tt.user, tt.secret)
		if (err == nil) != tt.ok || tt.ok && who.Name != tokens[1].ID {
			t.Errorf("%s: got %+v, %v", tt.user, who, err)
		}
	}
	salt := func(user string) string {
		_, answer, err := s.Begin(user, access.MechanismScram, "n,,n=,r=abc", access.Binding{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(answer, ",")[1]
	}
	if a, b, c := salt(access.TokenUser), salt(own), salt("token.00000000"); a != b || b != c {
		t.Errorf("salts %s, %s, %s", a, b, c)
	}
	if err := s.CreateUser("token.x", access.Grant{Role: access.Admin}, verifier(t, "x")); err == nil {
		t.Error("somebody was made a user of a name that is for tokens")
	}
}

// BenchmarkTokens is the work of one try of the user token, with many tokens, and of a token's own user.
func BenchmarkTokens(b *testing.B) {
	s := access.OpenStore(filepath.Join(b.TempDir(), "users"), quiet())
	for range 200 {
		if _, _, err := s.CreateToken(access.Grant{Role: access.Reader}, 0, ""); err != nil {
			b.Fatal(err)
		}
	}
	for _, user := range []string{access.TokenUser, "token.00000000"} {
		b.Run(user, func(b *testing.B) {
			proof, _, _ := access.NewProof("x", access.Binding{}, []string{access.MechanismScram})
			first, _ := proof.Step("")
			conv, answer, err := s.Begin(user, access.MechanismScram, first, access.Binding{})
			if err != nil {
				b.Fatal(err)
			}
			last, _ := proof.Step(answer)
			for b.Loop() {
				if _, _, err := conv.Finish(last); err == nil {
					b.Fatal("let in")
				}
			}
		})
	}
}
