package access

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
)

// TestThousandsOfTokens: with as many tokens as there may be, each lets in its own program and no other, and one more
// is refused.
func TestThousandsOfTokens(t *testing.T) {
	s := OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	err := s.change(func(f *storeFile) error {
		for n := range maxTokens - 2 { // nobody knows their secrets: to derive keys from so many would take a minute
			f.Tokens[fmt.Sprintf("%08x", n)] = record{Grant: Grant{Role: Admin}, Verifier: nobodys(f.TokenSalt)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	for range 2 {
		made, secret, err := s.CreateToken(Grant{Role: Reader}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		secrets[made.ID] = secret
	}
	if _, _, err := s.CreateToken(Grant{Role: Reader}, 0, ""); err == nil {
		t.Error("there are more tokens than there may be")
	}
	s = OpenStore(s.path, s.log) // from the file
	show := func(user, secret string) (Principal, error) {
		proof, _, err := NewProof(secret, Binding{}, []string{MechanismScram})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := proof.Step("")
		conv, answer, err := s.Begin(user, MechanismScram, first, Binding{})
		if err != nil {
			t.Fatal(err)
		}
		last, err := proof.Step(answer)
		if err != nil {
			t.Fatal(err)
		}
		who, _, err := conv.Finish(last)
		return who, err
	}
	for id, secret := range secrets {
		for _, user := range []string{TokenUser, tokenPrefix + id} {
			if who, err := show(user, secret); err != nil || who.Name != id || who.Role != Reader {
				t.Errorf("%s: %+v, %v", user, who, err)
			}
			if _, err := show(user, secret+"x"); !errors.Is(err, ErrDenied) {
				t.Errorf("%s with a secret that is wrong: %v", user, err)
			}
		}
	}
}

// TestTokensOfTenant: the admin of a tenant does not use up the tokens that there may be, and writes nothing into the list
// but short lines.
func TestTokensOfTenant(t *testing.T) {
	s := OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	err := s.change(func(f *storeFile) error {
		for n := range maxTokensOf {
			f.Tokens[fmt.Sprintf("%08x", n)] = record{Grant: Grant{Role: Admin, Tenants: Tenants(a)}, Verifier: nobodys(f.TokenSalt)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for tenants, room := range map[Tenants]bool{Tenants(a): false, Tenants(a + "," + b): false, Tenants(b): true, "": true} {
		if _, _, err := s.CreateToken(Grant{Role: Reader, Tenants: tenants}, 0, "für ci"); (err == nil) != room {
			t.Errorf("one more of %q: %v", tenants, err)
		}
	}
	for _, note := range []string{"\x1b[2J", "a\nb", "\xff", strings.Repeat("x", maxTokenNote+1), "\u202e"} {
		if _, _, err := s.CreateToken(Grant{Role: Reader}, 0, note); !errors.Is(err, api.ErrBadArgument) {
			t.Errorf("note %q: %v", note, err)
		}
	}
}

// TestLoginWithManyTokens: a stranger that shows a password for all tokens costs no more than one that shows one.
func TestLoginWithManyTokens(t *testing.T) {
	s := OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	err := s.change(func(f *storeFile) error {
		for n := range maxTokens - 1 {
			f.Tokens[fmt.Sprintf("%08x", n)] = record{Grant: Grant{Role: Admin}, Verifier: nobodys(f.TokenSalt)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p, began := &Policy{Method: Scram, Store: s}, time.Now()
	if _, err := p.Login(TokenUser, "wrong"); !errors.Is(err, ErrDenied) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("to refuse it takes %v", d)
	}
	_, secret, err := s.CreateToken(Grant{Role: Reader}, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if who, err := p.Login(TokenUser, secret); err != nil || who.Role != Reader {
		t.Errorf("got %v, %v", who, err)
	}
}
