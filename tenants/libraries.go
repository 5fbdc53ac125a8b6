package tenants

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"zenith/internal/api"
	"zenith/internal/postgres"
	"zenith/internal/sidefile"
	"zenith/repo"
)

// savedLibraries is what <timeline>/work/libraries.json holds: with which shared_preload_libraries servers
// have written the timeline's WAL. Records of an extension's resource manager do not name its library.
type savedLibraries struct {
	Lists []string `json:"lists"` // values of the setting, the latest first
}

var librariesKind = sidefile.Kind[savedLibraries]{
	Lost: "which libraries wrote a branch's WAL", Perm: 0o644, Format: sidefile.JSON,
}

// mostLibraries is how many values are kept.
const mostLibraries = 16

func librariesPath(tl *repo.Timeline) string { return filepath.Join(tl.WorkDir(), "libraries.json") }

// keepLibraries notes, durably, that a server with these shared_preload_libraries writes the branch's WAL.
func (b *branch) keepLibraries(list string) error {
	if list == "" {
		return nil
	}
	saved := b.readLibraries(b.tl)
	if len(saved) > 0 && saved[0] == list {
		return nil
	}
	saved = slices.Insert(slices.DeleteFunc(saved, func(l string) bool { return l == list }), 0, list)
	return librariesKind.Write(librariesPath(b.tl), savedLibraries{saved[:min(len(saved), mostLibraries)]}, b.t.log)
}

// readLibraries gives what was noted of a timeline. A damaged file costs no more than the note.
func (b *branch) readLibraries(tl *repo.Timeline) []string {
	saved, err := librariesKind.Read(librariesPath(tl))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warnDamage(b.t.log, err)
	}
	return saved.Lists
}

// libraries lists the values of shared_preload_libraries with which the branch's WAL may have been written,
// the likeliest first: what the user asks for now, what is noted of the branch and its ancestors, and what
// the configuration says.
func (b *branch) libraries(asked string, files postgres.DataFiles) ([]string, error) {
	list := []string{asked}
	for tl := b.tl; tl != nil; tl, _ = tl.Ancestor() {
		list = append(list, b.readLibraries(tl)...)
	}
	configured, err := postgres.PreloadLibraries(files, nil)
	if err != nil {
		return nil, err
	}
	list = append(list, configured)
	var distinct []string
	for _, l := range list {
		if l != "" && !slices.Contains(distinct, l) {
			distinct = append(distinct, l)
		}
	}
	return distinct, nil
}

// preloads notes with which libraries a server on the mount writes the branch's WAL, where user is what
// the user sets. note says which one it lacks that servers before it had, if there are pages that only that
// library's resource manager can replay.
func (m *mount) preloads(ctx context.Context, user map[string]string) (note string, err error) {
	if m.mode != api.ModeWritable {
		return "", nil
	}
	list, err := postgres.PreloadLibraries(viewFiles{ctx, m.view}, user)
	if err != nil {
		return "", err
	}
	before, err := m.branch.libraries("", viewFiles{ctx, m.view})
	if err != nil {
		return "", err
	}
	if err := m.branch.keepLibraries(list); err != nil {
		return "", err
	}
	if list != "" || len(before) == 0 {
		return "", nil
	}
	foreign, _, err := m.view.Snapshot().HasForeign(ctx)
	if err != nil || !foreign {
		return "", err
	}
	return "this server loads no library, and the branch has WAL of an extension's resource manager, written with shared_preload_libraries=" + before[0], nil
}
