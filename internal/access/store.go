package access

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"zenith/internal/api"
	"zenith/internal/sidefile"
)

// TokenUser is the name of the user whose passwords the tokens are. There is one more for each token: tokenPrefix
// and the token's id. A client that calls itself by this is compared with that token alone.
const TokenUser = "token"

const tokenPrefix = TokenUser + "."

// isTokenUser reports whether a user's passwords are tokens.
func isTokenUser(user string) bool {
	return user == TokenUser || strings.HasPrefix(user, tokenPrefix)
}

// The text of a token: secretPrefix, its id, an underscore, and 256 random bits. So whoever finds one knows
// what it is for, and which one to revoke.
const (
	secretPrefix = "zenith_"
	idSize       = 4 // in bytes: twice as many hex digits
)

// UserOf gives the user as which a client with this password connects, if it was told to be TokenUser: the token's
// own. Any other password is one of TokenUser itself.
func UserOf(password string) string {
	rest, found := strings.CutPrefix(password, secretPrefix)
	id, _, whole := strings.Cut(rest, "_")
	if _, err := hex.DecodeString(id); !found || !whole || err != nil || len(id) != 2*idSize {
		return TokenUser
	}
	return tokenPrefix + id
}

// Store has the users and tokens of a page server, in one file that only its owner reads. Of a password it has
// the verifier, of a token too: nothing in the file lets anybody in.
type Store struct {
	path string
	log  *slog.Logger

	mu      sync.RWMutex // guards what follows
	file    storeFile
	changed func() // is called after each change, so that connections of those who are no more are cut
}

// storeFile is what is in the file.
type storeFile struct {
	TokenSalt []byte            // all tokens have the same: a client is told the salt before it says which token it has
	Mock      []byte            // key by which a user that does not exist has a salt that stays the same
	Users     map[string]record // by name
	Tokens    map[string]record // by id
}

// record is a user or a token.
type record struct {
	Grant    Grant
	Verifier Verifier
	Created  time.Time
	Expires  *time.Time `json:",omitempty"` // nil: never
	Note     string     `json:",omitempty"`
}

var storeKind = sidefile.Kind[storeFile]{Lost: "users and tokens", Perm: 0o600, Format: sidefile.JSON}

// Bounds of a store.
const (
	maxUsers     = 10000
	maxTokens    = 10000 // each try of the user token is compared with all of them
	maxTokensOf  = 1000  // that name a tenant: its admin makes them, and must leave room for others
	maxTokenNote = 200   // bytes
)

// userName is what a user may be called.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,62}$`)

// OpenStore reads the users and tokens from the file at path, which need not exist yet. From a damaged file nobody
// is let in; it is moved aside when the next user or token is made.
func OpenStore(path string, log *slog.Logger) *Store {
	s := &Store{path: path, log: log, changed: func() {}}
	var err error
	if s.file, err = storeKind.Read(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("read users and tokens: none of them is let in", "err", err)
	}
	if len(s.file.TokenSalt) != saltSize || len(s.file.Mock) == 0 {
		s.file.TokenSalt, s.file.Mock = randomBytes(saltSize), randomBytes(keySize)
	}
	return s
}

// OnChange has f called after each change.
func (s *Store) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = f
}

// change changes the file by edit, which says what is wrong with that.
func (s *Store) change(edit func(f *storeFile) error) error {
	if err := s.write(edit); err != nil {
		return err
	}
	s.mu.RLock()
	changed := s.changed
	s.mu.RUnlock()
	changed()
	return nil
}

func (s *Store) write(edit func(f *storeFile) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.file
	next.Users, next.Tokens = copyOf(s.file.Users), copyOf(s.file.Tokens)
	if err := edit(&next); err != nil {
		return err
	}
	if err := storeKind.Write(s.path, next, s.log); err != nil {
		return err
	}
	s.file = next
	return nil
}

func copyOf(m map[string]record) map[string]record {
	c := make(map[string]record, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}

// CreateUser makes a user. ErrExists: there is one of that name.
func (s *Store) CreateUser(name string, g Grant, v Verifier) error {
	if !userName.MatchString(name) || isTokenUser(name) {
		return api.Errorf(api.ErrBadArgument, "user %q: want a name of letters, digits, _, ., @ and -, other than %s and %s...", api.Clip(name), TokenUser, tokenPrefix)
	}
	return s.change(func(f *storeFile) error {
		if _, there := f.Users[name]; there {
			return api.Errorf(api.ErrExists, "user %s: already exists", name)
		}
		if len(f.Users) >= maxUsers {
			return api.Errorf(api.ErrNotAllowed, "more than %d users", maxUsers)
		}
		f.Users[name] = record{Grant: g, Verifier: v, Created: now()}
		return nil
	})
}

// SetPassword gives a user another password.
func (s *Store) SetPassword(name string, v Verifier) error {
	return s.change(func(f *storeFile) error {
		r, there := f.Users[name]
		if !there {
			return errNoUser(name)
		}
		r.Verifier = v
		f.Users[name] = r
		return nil
	})
}

// DropUser removes a user.
func (s *Store) DropUser(name string) error {
	return s.change(func(f *storeFile) error {
		if _, there := f.Users[name]; !there {
			return errNoUser(name)
		}
		delete(f.Users, name)
		return nil
	})
}

func errNoUser(name string) error {
	return api.Errorf(api.ErrNotFound, "user %s: no such user", api.Clip(name))
}

// CreateToken makes a token and gives it, this once. life is how long it is valid; 0: for ever.
func (s *Store) CreateToken(g Grant, life time.Duration, note string) (api.Token, string, error) {
	if err := checkNote(note); err != nil {
		return api.Token{}, "", err
	}
	id := hex.EncodeToString(randomBytes(idSize))
	secret := secretPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(randomBytes(keySize))
	r := record{Grant: g, Created: now(), Note: note}
	if life != 0 {
		end := r.Created.Add(life)
		r.Expires = &end
	}
	err := s.change(func(f *storeFile) (err error) {
		if err := f.checkRoom(g.Tenants); err != nil {
			return err
		}
		if _, there := f.Tokens[id]; there {
			return api.Errorf(api.ErrExists, "token %s: already exists: try again", id)
		}
		r.Verifier, err = makeVerifier(secret, f.TokenSalt)
		f.Tokens[id] = r
		return err
	})
	return r.token(id), secret, err
}

// checkNote refuses a note that is no short line of text: whoever lists tokens sees it, on a terminal, too.
func checkNote(note string) error {
	if len(note) > maxTokenNote || !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return api.Errorf(api.ErrBadArgument, "note %q: want a line of text of at most %d bytes", api.Clip(note), maxTokenNote)
	}
	return nil
}

// checkRoom refuses a token for tenants of which there are too many.
func (f *storeFile) checkRoom(tenants Tenants) error {
	if len(f.Tokens) >= maxTokens {
		return api.Errorf(api.ErrNotAllowed, "more than %d tokens: revoke some", maxTokens)
	}
	of := map[string]int{}
	for _, r := range f.Tokens {
		for _, id := range r.Grant.Tenants.IDs() {
			of[id]++
		}
	}
	for _, id := range tenants.IDs() {
		if of[id] >= maxTokensOf {
			return api.Errorf(api.ErrNotAllowed, "more than %d tokens of tenant %s: revoke some", maxTokensOf, id)
		}
	}
	return nil
}

// RevokeToken removes a token; may says of which tenants the caller may revoke those. ErrNotFound: there is none, or it
// is for other tenants, too.
func (s *Store) RevokeToken(id string, may func(Tenants) bool) error {
	return s.change(func(f *storeFile) error {
		r, there := f.Tokens[id]
		if !there || !may(r.Grant.Tenants) {
			return api.Errorf(api.ErrNotFound, "token %s: no such token", api.Clip(id))
		}
		delete(f.Tokens, id)
		return nil
	})
}

// Users lists the users in the order of their names.
func (s *Store) Users() []api.User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []api.User{}
	for name, r := range s.file.Users {
		list = append(list, api.User{Name: name, Role: r.Grant.Role.String(), Tenants: r.Grant.Tenants.Names(), Created: r.Created})
	}
	slices.SortFunc(list, func(a, b api.User) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Tokens lists the tokens of tenants of which the caller may know them, in the order of their creation. Those that have
// expired are among them.
func (s *Store) Tokens(may func(Tenants) bool) []api.Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []api.Token{}
	for id, r := range s.file.Tokens {
		if may(r.Grant.Tenants) {
			list = append(list, r.token(id))
		}
	}
	slices.SortFunc(list, func(a, b api.Token) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return list
}

func (r record) token(id string) api.Token {
	return api.Token{ID: id, Role: r.Grant.Role.String(), Tenants: r.Grant.Tenants.Names(), Created: r.Created, Expires: r.Expires, Note: r.Note}
}

func (r record) expired() bool { return r.Expires != nil && !time.Now().Before(*r.Expires) }

// current gives what a principal that the store let in may do now; false: nothing any more.
func (s *Store) current(who Principal) (Grant, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := s.file.Users
	if who.via == viaToken {
		from = s.file.Tokens
	}
	r, there := from[who.Name]
	return r.Grant, there && !r.expired()
}

// now is the time to the second: nobody needs more of it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
