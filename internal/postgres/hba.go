package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"zenith/internal/api"
)

// Gate is who is let into a server that zenith runs: its pg_hba.conf and pg_ident.conf, which lie outside of its
// data directory, where only this process can write. The branch's own files stay as they are.
//
//	unix socket   the owner (root, and who runs the page server) by peer, as every role that there was at the
//	              start; who else gets into the directory of the socket, by a password
//	TCP           by a password (SCRAM-SHA-256), never without
//
// On what takes the original's place (Own) the lines of its own pg_hba.conf follow, less what could let somebody
// in over TCP who proves nothing (provingMethods).
type Gate struct {
	Dir     string // where the files go
	DataDir string // of the server
	Account Account
	Own     bool
	// OpenSocket says that the socket is, or is also, in a directory that others may enter: the user said where.
	OpenSocket bool
	// Contained are the settings that Contain gave: they say which files of the data directory are its own.
	Contained []api.Setting
}

// ownerMap is the map in pg_ident.conf that lets the owner in.
const ownerMap = "zenith_owner"

const hbaNote = "# zenith wrote this when it started the server, and will again: see docs/copies.md.\n"

// Settings writes the files for a server on a data directory with these files, and gives the settings that name
// them. note is what the user of the server should know, "" if that is nothing.
func (g Gate) Settings(files DataFiles) (list []api.Setting, note string, err error) {
	list, note, err = g.withoutKey(files)
	if err != nil {
		return nil, "", err
	}
	access, err := g.write(files)
	return append(list, access...), note, err
}

// write writes the files, and gives the settings that name them.
func (g Gate) write(files DataFiles) ([]api.Setting, error) {
	roles, err := loginRoles(files)
	if err != nil {
		return nil, err
	}
	owners := g.Account.owners()
	hba := []string{hbaNote}
	if named() || g.OpenSocket {
		for _, database := range []string{"all", "replication"} {
			hba = append(hba, fmt.Sprintf("local %s %s peer map=%s\n", database, quotedList(roles), ownerMap))
		}
	} else { // peer does not work for this process's account, and nobody else gets at the socket
		hba = append(hba, "local all all trust\nlocal replication all trust\n")
	}
	rest, ident := standardHBA, ""
	if g.Own {
		if rest, ident, err = g.ownLines(files); err != nil {
			return nil, err
		}
	}
	hba = append(hba, rest)
	maps := []string{hbaNote}
	for _, owner := range owners {
		for _, role := range roles {
			maps = append(maps, fmt.Sprintf("%s %s %s\n", ownerMap, quoted(owner), quoted(role)))
		}
	}
	maps = append(maps, ident)
	var list []api.Setting
	for _, f := range []struct {
		setting, name string
		lines         []string
	}{{"hba_file", "pg_hba.conf", hba}, {"ident_file", "pg_ident.conf", maps}} {
		at := filepath.Join(g.Dir, f.name)
		if err := os.WriteFile(at, []byte(strings.Join(f.lines, "")), 0o644); err != nil {
			return nil, err
		}
		list = append(list, api.Setting{Name: f.setting, Value: at})
	}
	return list, nil
}

// standardHBA is what holds for everybody but the owner.
const standardHBA = `local all all scram-sha-256
local replication all scram-sha-256
host all all all scram-sha-256
host replication all all scram-sha-256
`

// loginRoles lists the roles that may log in, sorted; of a directory without catalogs the usual one.
func loginRoles(files DataFiles) ([]string, error) {
	c := newSharedCatalogs(files)
	rows, err := c.rows(authIDRelation, sizeofAuthID)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{UsualLogin.User}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the roles: %w", err)
	}
	var names []string
	for _, r := range rows {
		if r[rolCanLogin] != 0 && !strings.ContainsAny(r.Name(nameOffset), "\r\n") { // no file of lines can have such a name
			names = append(names, r.Name(nameOffset))
		}
	}
	if len(names) == 0 {
		names = []string{UsualLogin.User}
	}
	slices.Sort(names)
	return names, nil
}

// quoted writes a name such that no word of pg_hba.conf is read into it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quotedList(names []string) string {
	var list []string
	for _, n := range names {
		list = append(list, quoted(n))
	}
	return strings.Join(list, ",")
}

// named reports whether this process's account has a name: without one, PostgreSQL's peer does not let it in.
func named() bool {
	_, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	return err == nil
}

// owners are the names of the accounts that may do everything with the server: whoever runs this process, root,
// and the server's own account, which has its files. An account without a name has none here.
func (a Account) owners() (names []string) {
	for _, uid := range []int{os.Geteuid(), 0, a.UID} {
		u, err := user.LookupId(strconv.Itoa(uid))
		if err == nil && !slices.Contains(names, u.Username) {
			names = append(names, u.Username)
		}
	}
	return names
}

// ownLines gives the lines of the data directory's own pg_hba.conf, and its pg_ident.conf, as they hold from
// outside of it. A server that has none gets the standard ones.
func (g Gate) ownLines(files DataFiles) (hba, ident string, err error) {
	h := hbaReader{files: files, dataDir: g.DataDir, openSocket: g.OpenSocket}
	lines, err := h.read(g.nameOf("hba_file"), maxIncludes)
	if errors.Is(err, fs.ErrNotExist) {
		lines, err = []string{standardHBA}, nil
	}
	if err != nil {
		return "", "", err
	}
	text, err := files.ReadFile(g.nameOf("ident_file"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return strings.Join(lines, ""), string(text), nil
}

// nameOf gives the path, in the data directory, of one of the server's own accessFiles.
func (g Gate) nameOf(setting string) string {
	for _, s := range g.Contained {
		if rel, err := filepath.Rel(g.DataDir, s.Value); s.Name == setting && err == nil {
			return filepath.ToSlash(rel)
		}
	}
	return accessFiles[setting]
}

// hbaReader reads a pg_hba.conf.
type hbaReader struct {
	files      DataFiles
	dataDir    string
	openSocket bool // see Gate
}

// read gives the lines of a file, and of those that it includes; each ends with a newline.
func (h hbaReader) read(name string, depth int) (lines []string, err error) {
	if depth == 0 || !filepath.IsLocal(name) {
		return nil, nil
	}
	text, err := h.files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	joined := strings.ReplaceAll(strings.ReplaceAll(string(text), "\\\r\n", ""), "\\\n", "")
	for line := range strings.Lines(joined) {
		more, err := h.line(name, strings.TrimSpace(line), depth)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// line gives what stands for one line.
func (h hbaReader) line(file, line string, depth int) ([]string, error) {
	words := hbaWords(line)
	if len(words) == 0 {
		return nil, nil
	}
	kind := unquoteWord(words[0])
	switch kind {
	case "include", "include_if_exists":
		if len(words) < 2 {
			return nil, nil
		}
		lines, err := h.read(path.Join(path.Dir(file), unquoteWord(words[1])), depth-1)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return lines, err
	case "include_dir":
		if len(words) < 2 {
			return nil, nil
		}
		return h.readDir(path.Join(path.Dir(file), unquoteWord(words[1])), depth-1)
	}
	if !slices.Contains(hbaTypes, kind) { // quoted, it is an error of PostgreSQL's, and never the name of a file
		words[0] = quoted(kind)
		return []string{strings.Join(words, " ") + "\n"}, nil
	}
	words[0] = kind
	if n := methodIn(words); n > 0 && h.replaced(words, n) {
		words = append(words[:n:n], "scram-sha-256")
	}
	for i := range words {
		words[i] = h.absolute(file, words[i])
	}
	return []string{strings.Join(words, " ") + "\n"}, nil
}

// readDir gives the lines of the files in a directory that include_dir reads.
func (h hbaReader) readDir(dir string, depth int) (lines []string, err error) {
	if !filepath.IsLocal(dir) {
		return nil, nil
	}
	names, err := h.files.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, ".") {
			continue
		}
		more, err := h.read(path.Join(dir, name), depth)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// hbaTypes are the types of entries.
var hbaTypes = []string{"local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"}

// provingMethods are the methods that stay where strangers can connect: nobody gets in without a secret.
var provingMethods = []string{"scram-sha-256", "md5", "cert", "gss", "ldap", "oauth", "pam", "radius", "reject"}

// replaced reports whether a password takes the place of the method in an entry, words[n].
//
// Where strangers can connect, over TCP or a socket that they reach, that is every method that is not known to ask
// for a proof. A peer on a socket needs a map, too: without one it lets an account in as the role of the same name;
// the owner's lines have done so already, and a role that was made since the start could not get in at all.
func (h hbaReader) replaced(words []string, n int) bool {
	method, options := strings.TrimRight(unquoteWord(words[n]), ","), words[n+1:]
	local := words[0] == "local"
	// An option without "=" is an error, unless a word before it is a file (@FILE) without words: PostgreSQL
	// leaves that word out, and reads the one behind words[n] as the method.
	shifted := slices.ContainsFunc(options, func(word string) bool { return !strings.Contains(word, "=") })
	switch {
	case local && method == "peer":
		return len(options) == 0 || shifted
	case local && !h.openSocket:
		return false
	default:
		return shifted || !slices.Contains(provingMethods, method)
	}
}

// methodIn gives the index of the authentication method in an entry, 0 if it has none.
func methodIn(words []string) int {
	n := 4 // type, database, user, address
	switch {
	case words[0] == "local":
		n = 3
	case len(words) < 5:
		return 0
	default:
		if _, err := netip.ParseAddr(unquoteWord(words[4])); err == nil { // a mask
			n = 5
		}
	}
	if n >= len(words) {
		return 0
	}
	return n
}

// absolute makes the names of files in a list of databases or users (@FILE) absolute: they are relative to the
// pg_hba.conf that names them.
func (h hbaReader) absolute(file, word string) string {
	if !strings.Contains(word, "@") || strings.HasPrefix(word, `"`) {
		return word
	}
	parts := strings.Split(word, ",")
	for i, p := range parts {
		if name, isFile := strings.CutPrefix(p, "@"); isFile && name != "" && !filepath.IsAbs(name) {
			parts[i] = "@" + filepath.Join(h.dataDir, filepath.Dir(file), name)
		}
	}
	return strings.Join(parts, ",")
}

// hbaWords cuts a line into its words (next_field_expand and next_token of hba.c), quotes left on. Words with commas
// between them, and blanks only behind these, are one; commas before a word are no part of it.
func hbaWords(line string) (words []string) {
	var b strings.Builder
	inQuote := false
	flush := func() {
		if b.Len() > 0 {
			words = append(words, b.String())
			b.Reset()
		}
	}
	for _, r := range line {
		switch {
		case r == '"':
			inQuote = !inQuote
			b.WriteRune(r)
		case r == '#' && !inQuote:
			flush()
			return words
		case (r == ' ' || r == '\t' || r == '\r' || r == '\n') && !inQuote:
			if !strings.HasSuffix(b.String(), ",") {
				flush()
			}
		case r == ',' && b.Len() == 0:
		default:
			b.WriteRune(r)
		}
	}
	flush()
	return words
}

// unquoteWord gives a word that has no quotes in its meaning: quotes may stand anywhere in it.
func unquoteWord(w string) string { return strings.ReplaceAll(w, `"`, "") }
