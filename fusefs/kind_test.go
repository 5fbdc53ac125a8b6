package fusefs

import (
	"testing"

	"zenith/internal/pg"
)

func TestKindOf(t *testing.T) {
	for path, want := range map[string]*kind{
		"global/pg_control": kindControl,
		"global/1262":       kindRelation,
		"base/5/1259":       kindRelation,
		"base/5/1259.7":     kindRelation,
		"base/5/1259_vm":    kindRelation,
		"base/5/16384_init": kindRelation,
		"base/5/1259_fsm":   kindFSM,
		"base/5/1259_fsm.1": kindFSM,
		"pg_tblspc/16400/PG_15_202209061/5/16384": kindRelation,
		"pg_xact/0000":                                  kindRelation,
		"pg_multixact/offsets/0000":                     kindRelation,
		"pg_multixact/members/00A0":                     kindRelation,
		"pg_commit_ts/0001":                             kindRelation,
		"global/pg_filenode.map":                        kindLogged,
		"base/5/pg_filenode.map":                        kindLogged,
		"base/5/PG_VERSION":                             kindLogged,
		"PG_VERSION":                                    kindLogged,
		"pg_twophase/00000300":                          kindLogged,
		"pg_twophase/00000300.tmp":                      kindRuntime,
		"pg_wal/000000010000000000000001":               kindSegment,
		"pg_wal/xlogtemp.123":                           kindWALTemp,
		"pg_wal/archive_status/0000000100000000.ready":  kindSaved,
		"pg_wal/00000002.history":                       kindSaved,
		"base/5/t3_16384":                               kindRuntime,
		"base/5/t3_16384_fsm":                           kindRuntime,
		"base/5/pg_internal.init":                       kindRuntime,
		"global/pg_internal.init.123":                   kindRuntime,
		"base/pgsql_tmp/pgsql_tmp123.0":                 kindRuntime,
		"base/pgsql_tmp/pgsql_tmp9.0.fileset/0.0":       kindRuntime,
		"pg_tblspc/16400/PG_15_202209061/pgsql_tmp/a.0": kindRuntime,
		"pg_subtrans/0000":                              kindRuntime,
		"pg_notify/0000":                                kindRuntime,
		"pg_stat_tmp/pgss_query_texts.stat":             kindRuntime,
		"pg_stat/pgstat.stat":                           kindKept,
		"pg_stat/pgstat.tmp":                            kindRuntime,
		"pg_stat/pg_stat_statements.stat":               kindKept,
		"pg_replslot/s/state":                           kindSaved,
		"pg_replslot/s.tmp/state":                       kindSaved,
		"pg_replslot/s/state.tmp":                       kindRuntime,
		"pg_replslot/s/xid-700-lsn-0-1000000.spill":     kindRuntime,
		"pg_logical/replorigin_checkpoint":              kindKept,
		"pg_logical/replorigin_checkpoint.tmp":          kindRuntime,
		"pg_logical/snapshots/0-16B3748.snap":           kindSaved,
		"pg_logical/snapshots/0-16B3748.snap.7.tmp":     kindRuntime,
		"pg_logical/mappings/map-5-4d2-0_1A-2-3":        kindSaved,
		"postmaster.pid":                                kindRuntime,
		"postmaster.opts":                               kindRuntime,
		"current_logfiles":                              kindRuntime,
		"standby.signal":                                kindRuntime,
		"backup_label.old":                              kindRuntime,
		"log/postgresql-2026.log":                       kindLog,
		"postgresql.conf":                               kindConfig,
		"postgresql.conf~":                              kindRuntime,
		".postgresql.conf.swp":                          kindRuntime,
		"postgresql.auto.conf":                          kindConfig,
		"postgresql.auto.conf.tmp":                      kindRuntime,
		"pg_hba.conf":                                   kindConfig,
		"pg_ident.conf":                                 kindConfig,
		"conf.d/memory.conf":                            kindConfig,
		"server.key":                                    kindConfig,
		"autoprewarm.blocks":                            kindConfig,
		"base/5/unknown":                                kindKept,
	} {
		if got := kindOf(pg.V15, path); got != want {
			t.Errorf("%s is %s, want %s", path, got.name, want.name)
		}
		if got := (&worktree{}).kindOf(path); got != kindRuntime {
			t.Errorf("%s in a scratch mount is %s", path, got.name)
		}
	}
}
