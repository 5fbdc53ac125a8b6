// Package tenants says who exists and owns what runs: tenants and their repositories,
// the followers that ingest WAL, the mounts, and the postgres servers (computes) that
// run on mounts of their own. Manager is all of it for one work directory, and the
// api.Service that package pageserver puts on the wire.
//
// A tenant is a directory <workdir>/tenants/<id>, opened on first use:
//
//	store/              the versions (package repo's)
//	timelines/<tl>/wal  the WAL of each timeline
//	timelines/<tl>/work what a writable mount keeps between mounts
//	mounts/<n>          the private files of mounts that are there now
//	pg/<name>/          a compute: its settings, its log, and data, its mount point
//
// Push sends timelines to another page server's Manager, whose intake takes them (frame.go has
// the stream). What runs stock postgres on this machine, and needs no Manager, is in internal/postgres.
//
// A branch has one writer at a time: a writable mount or a receiver takes it, and the next one
// gets an error that names the first. Every goroutine here belongs to the Manager, or to something
// that the Manager closes; Close returns when they are gone.
package tenants
