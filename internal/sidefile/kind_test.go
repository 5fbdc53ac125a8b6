package sidefile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"zenith/internal/sidefile"
)

type thing struct {
	Name     string            `json:"name"`
	Port     int               `json:"port"`
	Settings map[string]string `json:"settings"`
}

func kindOf(f sidefile.Format) sidefile.Kind[thing] {
	return sidefile.Kind[thing]{Lost: "a thing", Perm: 0o640, Format: f, Check: func(v *thing) error {
		if v.Name == "" {
			return errors.New("no name")
		}
		return nil
	}}
}

var formats = map[string]sidefile.Format{"JSON": sidefile.JSON, "TOML": sidefile.TOML}

// TestCutShort: whatever a file has lost at its end, it is not taken for a whole one.
func TestCutShort(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			kind, path := kindOf(format), filepath.Join(t.TempDir(), "file")
			want := thing{"main", 54321, map[string]string{"work_mem": "64MB", "jit": "off"}}
			if err := kind.Write(path, want, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			if got, err := kind.Read(path); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %v, %v", got, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
				t.Errorf("got %v, %v", info.Mode(), err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				wantDamage(t, kind, path, whole[:n])
			}
		})
	}
}

func wantDamage(t *testing.T, kind sidefile.Kind[thing], path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
	got, err := kind.Read(path)
	var damage *sidefile.Damage
	if !errors.As(err, &damage) || damage.Path != path || damage.Lost != "a thing" || !reflect.DeepEqual(got, thing{}) {
		t.Errorf("%q: got %+v, %v", content, got, err)
	}
}

func TestGarbage(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			kind, path := kindOf(format), filepath.Join(t.TempDir(), "file")
			for _, content := range []string{
				"", "\n", "null", "{}", "[]", "7", "\x00\x00\x00\x00", "\xff\xfe", "name = 7", `{"name": 7}`, `{"name": "x"} y`, "Name = \"x\"\n\x00",
				`{"name": "x", "settings": 5}`, "Name = \"x\"\nPort = \"y\"\n",
			} {
				wantDamage(t, kind, path, []byte(content))
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if _, err := kind.Read(path); !errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*sidefile.Damage)) {
				t.Errorf("no file: got %v", err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := kind.Read(path); !errors.As(err, new(*sidefile.Damage)) {
				t.Errorf("a directory: got %v", err)
			}
		})
	}
}

// TestByHand: TOML that somebody else wrote needs no last line, and lines may follow it.
func TestByHand(t *testing.T) {
	kind, path := kindOf(sidefile.TOML), filepath.Join(t.TempDir(), "file")
	for _, content := range []string{
		"Name = \"x\"\n", "# a comment\nName = \"x\"", string(sidefile.Seal([]byte("Name = \"x\"\n"))) + "Port = 7\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := kind.Read(path); err != nil || got.Name != "x" {
			t.Errorf("%q: got %v, %v", content, got, err)
		}
	}
}

// TestDamagedIsKept: what is in the way of a new file is not overwritten, if it is damaged.
func TestDamagedIsKept(t *testing.T) {
	kind, dir := kindOf(sidefile.JSON), t.TempDir()
	path := filepath.Join(dir, "file")
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, content := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time the file is a good one
			if err := kind.Write(path, thing{Name: "x"}, log); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]string{"file.damaged-1": "one", "file.damaged-2": "two"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "file="+path) || !strings.Contains(got, "to="+path+".damaged-2") {
		t.Errorf("the log has %s", got)
	}
}
