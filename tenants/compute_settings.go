package tenants

import (
	"slices"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
)

// mountSettings are what follows from running on a mount: pages are never torn there, and segments are the
// branch's to keep, so none is recycled.
func mountSettings() []api.Setting {
	return []api.Setting{
		{Name: "full_page_writes", Value: "off"},
		{Name: "wal_recycle", Value: "off"},
		{Name: "wal_init_zero", Value: "off"},
	}
}

// headSettings are those of a postgres on the head of a branch. It never recovers from its checkpoints: after
// a crash it is started on a fresh mount (revive), not anew by its postmaster, and the mount is the state at
// the end of the WAL. So checkpoints are rare. They are not absent: they bound where a standby or a base
// backup begins to replay, and how many segments are in pg_wal, which are not packed as long.
//
// What a consumer has confirmed of a logical slot is saved at checkpoints only, and sent again after a crash
// if it was not: where there may be logical slots, checkpoints are as often as they are configured to be.
func headSettings(logical bool) []api.Setting {
	list := []api.Setting{
		{Name: "restart_after_crash", Value: "off"},
		{Name: "max_wal_size", Value: "8GB"}, // a checkpoint every 4 GB or so
	}
	if !logical {
		list = append(list, api.Setting{Name: "checkpoint_timeout", Value: "1d"})
	}
	return list
}

// settings gives the settings for postgres's command line, later ones winning: those that the mount needs,
// the names of tenant and branch, ofState, which the state that it starts on needs, and the user's.
func (c *compute) settings(saved savedCompute, ofState []api.Setting) []api.Setting {
	list := mountSettings()
	if c.mount.mode == api.ModeWritable {
		list = append(list, headSettings(saved.logical() || decodes(ofState) || c.mount.view.Snapshot().State().Settings.WALLevel == pg.WALLevelLogical)...)
	}
	list = append(list, postgres.PlaceSettings(c.dir, c.tcp(), c.t.id.String(), c.mount.branch.tl.ID().String())...)
	list = append(list, ofState...)
	return append(list, postgres.UserSettings(saved.Settings)...)
}

// logical reports whether the user has the server write WAL for logical slots.
func (s savedCompute) logical() bool { return strings.EqualFold(s.Settings["wal_level"], "logical") }

// decodes reports whether settings have a server write WAL for logical slots.
func decodes(settings []api.Setting) bool {
	return slices.Contains(settings, api.Setting{Name: "wal_level", Value: "logical"})
}

// recyclesWAL reports whether the user may have the server recycle segments.
func (s savedCompute) recyclesWAL() bool {
	_, set := s.Settings["wal_recycle"]
	return set
}
