package sidefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
)

// Format is how a value is written to a file.
type Format struct {
	encode func(v any) ([]byte, error)
	decode func(content []byte, v any) error
}

// The formats. Both notice content that was cut short, at whatever byte.
var (
	JSON = Format{encode: json.Marshal, decode: decodeJSON}
	TOML = Format{encode: encodeTOML, decode: decodeTOML}
)

// decodeJSON refuses null, which json.Unmarshal takes for any value.
func decodeJSON(content []byte, v any) error {
	if bytes.Equal(bytes.TrimSpace(content), []byte("null")) {
		return errors.New("its content is null")
	}
	return json.Unmarshal(content, v)
}

func encodeTOML(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return nil, err
	}
	return Seal(b.Bytes()), nil
}

func decodeTOML(content []byte, v any) error {
	if err := Whole(content); err != nil {
		return err
	}
	_, err := toml.Decode(string(content), v)
	return err
}

// The comments around a TOML file.
const (
	first = "# Kept by zenith. The last line shows that the file is whole.\n"
	last  = "# end\n"
)

// Seal puts TOML between the two comments by which Whole can tell that none of it is missing.
func Seal(text []byte) []byte { return []byte(first + string(text) + last) }

// Whole gives an error for what Seal made if the end of it is missing, and for an empty file. Other
// lines may follow the last one.
func Whole(content []byte) error {
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return errors.New("it is empty")
	case len(content) < len(first) && bytes.HasPrefix([]byte(first), content),
		bytes.HasPrefix(content, []byte(first)) && !bytes.Contains(content, []byte("\n"+last)):
		return fmt.Errorf("it is cut short: the line %q is missing", last[:len(last)-1])
	}
	return nil
}
