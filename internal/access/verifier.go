package access

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/xdg-go/scram"
)

// Verifier is what is stored of a password: it can be checked by it, and not found out from it. Its text form
// is that of pg_authid:
//
//	SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY      the last three in base64
type Verifier struct {
	salt      []byte
	iters     int
	storedKey []byte
	serverKey []byte
}

const (
	verifierPrefix = "SCRAM-SHA-256$"
	iterations     = 4096 // SCRAM_SHA_256_DEFAULT_ITERATIONS; some clients refuse fewer
	maxIterations  = 1 << 20
	saltSize       = 16 // SCRAM_DEFAULT_SALT_LEN
	keySize        = 32 // of SHA-256
)

// NewVerifier makes the verifier of a password, with a salt of its own (pg_be_scram_build_secret).
func NewVerifier(password string) (Verifier, error) {
	return makeVerifier(password, randomBytes(saltSize))
}

func makeVerifier(password string, salt []byte) (Verifier, error) {
	if password == "" {
		return Verifier{}, errors.New("the password is empty")
	}
	c, err := newClient(password)
	if err != nil {
		return Verifier{}, err
	}
	k, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Verifier{}, fmt.Errorf("derive keys from the password: %w", err)
	}
	return Verifier{salt: salt, iters: iterations, storedKey: k.StoredKey, serverKey: k.ServerKey}, nil
}

// newClient makes a client that knows a password. One that is no text that SASLprep knows counts byte by byte, as
// in PostgreSQL.
func newClient(password string) (*scram.Client, error) {
	c, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		c, err = scram.SHA256.NewClientUnprepped("", password, "")
	}
	if err != nil {
		return nil, fmt.Errorf("derive keys from the password: %w", err)
	}
	return c, nil
}

// randomBytes gives n bytes that nobody can guess.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// credentials gives the verifier as the SCRAM library takes it.
func (v Verifier) credentials() scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(v.salt), Iters: v.iters},
		StoredKey:  v.storedKey, ServerKey: v.serverKey,
	}
}

// fits reports whether a client's proof, of keySize bytes, shows that it knows the password; message is what RFC 5802 calls
// AuthMessage.
func (v Verifier) fits(message, proof []byte) bool {
	if len(v.storedKey) != keySize {
		return false
	}
	mac := hmac.New(sha256.New, v.storedKey)
	mac.Write(message)
	clientKey := mac.Sum(nil) // the signature, and without the proof the key
	subtle.XORBytes(clientKey, clientKey, proof)
	stored := sha256.Sum256(clientKey)
	return hmac.Equal(stored[:], v.storedKey)
}

// MarshalText implements encoding.TextMarshaler.
func (v Verifier) MarshalText() ([]byte, error) {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "%s%d:%s$%s:%s", verifierPrefix, v.iters, b64(v.salt), b64(v.storedKey), b64(v.serverKey)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler (parse_scram_secret). An error does not have the text in it.
func (v *Verifier) UnmarshalText(text []byte) error {
	rest, found := strings.CutPrefix(string(text), verifierPrefix)
	factors, keys, cut := strings.Cut(rest, "$")
	count, salt, hasSalt := strings.Cut(factors, ":")
	stored, server, hasServer := strings.Cut(keys, ":")
	n, err := strconv.Atoi(count)
	if !found || !cut || !hasSalt || !hasServer || err != nil || n < 1 || n > maxIterations {
		return errors.New("not a SCRAM-SHA-256 verifier as in pg_authid")
	}
	out := Verifier{iters: n}
	for _, f := range []struct {
		to   *[]byte
		from string
		size int // 0: any
	}{{&out.salt, salt, 0}, {&out.storedKey, stored, keySize}, {&out.serverKey, server, keySize}} {
		b, err := base64.StdEncoding.DecodeString(f.from)
		if err != nil || len(b) == 0 || f.size != 0 && len(b) != f.size {
			return errors.New("not a SCRAM-SHA-256 verifier: bad base64 in it")
		}
		*f.to = b
	}
	*v = out
	return nil
}
