// Package segment keeps the WAL of timelines in segment files, which have PostgreSQL's own names
// and sizes, and reads it: a branch's own segments, and its ancestors' below the branch point.
//
// A Dir is the directory of one timeline's own segments. Its server writes to it, or whoever
// receives its WAL; this package only packs and removes what is there. A WAL reads the Dirs of a
// timeline and its ancestors as one, through mappings of the segments.
//
// # PostgreSQL's timelines
//
// A segment's name begins with a timeline of PostgreSQL. A timeline of ours may go through several of those, one after
// the other, if it follows servers of which one took the place of another: its History says where each begins.
// Where one begins within a segment, the segment has the name of the last one in it, as on a server
// that was promoted there, and there is no other file of it.
//
// # Packed segments
//
// A segment that is old and that no server has in its pg_wal may be packed: compressed, in the same
// place and under the same name. Its first bytes, with which no WAL page begins, tell it from a
// plain one:
//
//	| magic 8 | size of the segment 4 | size of a frame 4 | end of each frame 4 ... | CRC-32C of all that 4 |
//	| frame | frame | ...
//
// All numbers are little endian. A frame is a stretch of the segment, 8 KiB long but for the last,
// compressed with s2. A frame that is as long as its stretch is the stretch itself: to compress it
// would have saved nothing. Frame ends count from the start of the first frame. The frames have no
// checksums: the records in them have.
//
// Frames are short, and s2 it is, because a page is rebuilt from records that lie in as many
// frames: zstd in frames of 32 KiB saves a third more, and takes ten times as long to read a
// record. A packed segment takes the place of the plain one at once, by a rename.
//
// # The mark
//
// A timeline whose WAL a server writes, which may die in the middle, has a mark: the LSN up to
// which its WAL is known to be durable. What cannot be read below the mark is damage. At and behind
// the mark it is the end, whatever follows: a server that died leaves incomplete
// records in front of complete ones, and a machine that died may keep a later page and lose an
// earlier one. No commit behind such a place was ever acknowledged.
//
// The mark is a file beside the directory, "durable": an LSN in 16 hexadecimal digits, and a
// newline. It may be behind the truth after a crash of the machine, never ahead of it: it is
// written when the WAL up to it has been synced.
package segment
