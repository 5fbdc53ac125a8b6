package pageserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/access"
)

// TestGuessedPasswords: after some wrong passwords for a user the right one is refused, too, from there, so that nobody
// learns by trying which one it was; other users, and tokens, are not kept out by that.
func TestGuessedPasswords(t *testing.T) {
	g := newGuarded(t)
	must(0, g.store.CreateUser("bob", access.Grant{Role: access.Reader}, must(access.NewVerifier("x"))(t)))(t)
	_, token, err := g.store.CreateToken(access.Grant{Role: access.Reader}, 0, "")
	must(0, err)(t)
	try := func(user, password string) (state, message string) {
		c, err := pgconn.Connect(t.Context(), g.conninfo(user, password, "sslmode=disable"))
		if err == nil {
			c.Close(context.Background())
			return "", ""
		}
		var pe *pgconn.PgError
		if !errors.As(err, &pe) {
			t.Fatalf("%s: %v", user, err)
		}
		return pe.Code, pe.Message
	}
	for _, user := range []string{"ann", "nobody"} { // one that does not exist is treated alike
		tries := 0
		for ; tries < 100; tries++ {
			if state, _ := try(user, "wrong"); state != "28P01" {
				break
			}
		}
		if state, message := try(user, "pässword"); state != "28000" || !strings.Contains(message, "too many wrong passwords") || tries > 20 || tries < 3 {
			t.Errorf("%s: after %d tries, the right one: %s %s", user, tries, state, message)
		}
	}
	for range 100 {
		try("token", "zenith_wrong")
	}
	for user, password := range map[string]string{"bob": "x", "token": token, access.UserOf(token): token} {
		if state, message := try(user, password); state != "" {
			t.Errorf("%s is kept out: %s %s", user, state, message)
		}
	}
}
