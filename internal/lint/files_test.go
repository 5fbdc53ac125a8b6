package lint_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// largest is how many bytes a file in the repository may have outside testdata: far more than any source
// file needs, and less than any built binary has.
const largest = 2 << 20

// TestNoBuiltFiles refuses large files in the repository: a binary that was committed by mistake stays in
// the history of every clone.
func TestNoBuiltFiles(t *testing.T) {
	root := moduleRoot(t)
	files, err := trackedFiles(t, root)
	if err != nil {
		t.Logf("git does not list the files of %s (%v): every file but the ignored ones is checked", root, err)
		files = unignoredFiles(t, root)
	}
	if len(files) == 0 {
		t.Fatalf("no files found in %s: nothing was checked", root)
	}
	for _, big := range tooLarge(t, root, files) {
		t.Errorf("%s has more than %d bytes: built files do not belong in the repository", big, largest)
	}
}

// TestLargeFilesAreFound sees that both ways to list files lead to a large one, and to no ignored one.
func TestLargeFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int64{
		"zenith": largest + 1, "small.go": largest, "x/testdata/wal": largest + 1, "bin/zenith": largest + 1, "a b/c\n": largest + 1,
	} {
		name = filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, nil, 0o644), os.Truncate(name, size))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("# built\n/bin/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"a b/c\n", "zenith"}
	t.Run("exported tree", func(t *testing.T) {
		if files, err := trackedFiles(t, dir); err == nil {
			t.Fatalf("git lists %q outside a repository", files)
		}
		if got := tooLarge(t, dir, unignoredFiles(t, dir)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("clone", func(t *testing.T) {
		for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
			if _, err := git(dir, args...); err != nil {
				t.Skipf("git %s: %v", args[0], err)
			}
		}
		files, err := trackedFiles(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := tooLarge(t, dir, files); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if files, err := trackedFiles(t, filepath.Join(dir, "x")); err == nil {
			t.Errorf("git lists %q for a directory that is a part of another repository", files)
		}
	})
}

// tooLarge gives those of the files below root that are larger than largest and not in a testdata
// directory, sorted.
func tooLarge(t *testing.T, root string, files []string) (large []string) {
	t.Helper()
	for _, name := range files {
		if slices.Contains(strings.Split(name, "/"), "testdata") {
			continue
		}
		info, err := os.Lstat(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) { // deleted, and the deletion is not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() && info.Size() > largest {
			large = append(large, name)
		}
	}
	slices.Sort(large)
	return large
}

// trackedFiles asks git which files belong to the repository whose top is root. It fails where root is
// no such top: in an exported tree, without git, or in a clone that belongs to another user.
func trackedFiles(t *testing.T, root string) ([]string, error) {
	t.Helper()
	top, err := git(root, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, err
	}
	if prefix := strings.TrimSpace(top); prefix != "" {
		return nil, errors.New(prefix + " of another repository")
	}
	out, err := git(root, "ls-files", "-z")
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 }), err
}

// git runs git in dir and gives what it prints. A hook that runs the tests has variables set that name its
// own repository and index; git must not see them here.
func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// unignoredFiles walks the tree for want of git: all files but hidden directories' and those that
// .gitignore names with a path from the top, which is how built files are named there.
func unignoredFiles(t *testing.T, root string) (files []string) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			ignored[strings.TrimSuffix(path, "/")] = true
		}
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || ignored[name]):
			return fs.SkipDir
		case !d.IsDir() && !ignored[name]:
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// moduleRoot is the directory of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
