// Package sidefile reads and writes side files: small files beside the history of a tenant, each
// of which says one thing, such as the settings of a postgres, or the slots of a branch.
//
// They are written durably, whole or not at all, so only something outside of zenith damages
// one: an editor, a full disk under a copy, fsck. A damaged side file costs the thing that it is
// about, and nothing else: whoever reads it gets a *Damage, logs that, and goes on without the
// thing. The file stays where it is until the thing is made anew. Then it is moved aside, never
// overwritten: somebody may still find in it what was lost.
//
// A file that was cut short must not be taken for a whole one. JSON ends with a brace. TOML may
// end anywhere, so it is kept between two comments (Seal):
//
//	# Kept by zenith. The last line shows that the file is whole.
//	Point = "main"
//	Port = 5432
//	# end
//
// A TOML file without the first comment is not held to that: earlier versions and users wrote it.
package sidefile
