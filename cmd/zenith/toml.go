package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/BurntSushi/toml"

	"zenith/internal/durable"
	"zenith/internal/sidefile"
)

// errDamaged is the kind of error of a file of settings that is no TOML, or not all of it: so not
// what its user wrote.
var errDamaged = errors.New("damaged file")

// readTOML reads a file into v. A key that v does not have is an error. Errors name file and line. doubt says why root
// must run nothing that the file names: others can change it. nil: root may, or this process is not root's.
func readTOML(path string, v any) (doubt, err error) {
	text, doubt, err := readSettings(path)
	if err == nil {
		err = decodeTOML(path, text, v)
	}
	return doubt, err
}

// decodeTOML is readTOML for the text of the file.
func decodeTOML(path string, text []byte, v any) error {
	if err := sidefile.Whole(text); err != nil {
		return &kindError{fmt.Sprintf("%s: %v", path, err), errDamaged}
	}
	meta, err := toml.Decode(string(text), v)
	var parse toml.ParseError
	if errors.As(err, &parse) {
		err = fmt.Errorf("%s:%d: %s", path, parse.Position.Line, parseMessage(parse))
		if parse.Message != "" { // of TOML itself, not of one of our types
			err = &kindError{err.Error(), errDamaged}
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("%s:%d: unknown key %q", path, keyLine(string(text), unknown[0]), unknown[0])
	}
	return nil
}

// blameLine adds to err the file and line where a key is set whose value turned out to be wrong.
func blameLine(path string, err error, key ...string) error {
	text, readErr := os.ReadFile(path)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return fmt.Errorf("%s:%d: %w", path, keyLine(string(text), key), err)
}

// parseMessage gives the message of a parse error, with the key if that is known.
func parseMessage(e toml.ParseError) string {
	msg := e.Message
	if msg == "" {
		msg = e.Error()
	}
	if e.LastKey != "" {
		msg = e.LastKey + ": " + msg
	}
	return oneLine(msg)
}

// keyLine finds the line that sets a key, or begins a table of that name. The TOML library gives the line
// only for keys that it fails to decode, not for unknown ones.
func keyLine(text string, key toml.Key) int {
	table := toml.Key{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = splitKey(strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t"))
			if strings.HasPrefix(table.String()+".", key.String()+".") {
				return i + 1
			}
			continue
		}
		name, _, found := strings.Cut(line, "=")
		full := append(append(toml.Key{}, table...), splitKey(name)...)
		if found && strings.HasPrefix(full.String()+".", key.String()+".") {
			return i + 1
		}
	}
	return 1
}

// splitKey splits a dotted key into its parts, without the quotes around them.
func splitKey(s string) toml.Key {
	parts := strings.Split(strings.TrimSpace(s), ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return parts
}

// writeTOML writes v to a file that is there whole or not at all, under comment.
func writeTOML(path, comment string, v any) error {
	var b bytes.Buffer
	for line := range strings.Lines(comment) {
		b.WriteString("# " + line)
	}
	b.WriteString("\n")
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return durable.WriteFile(path, sidefile.Seal(b.Bytes()), 0o600)
}
