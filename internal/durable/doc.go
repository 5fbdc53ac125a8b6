// Package durable changes files so that neither a crash of the process nor one of the
// machine leaves half a change. Every place in zenith that puts one file in the place of
// another does it through this package; internal/lint sees to that.
//
// A file is replaced in five steps, the order of which is the point of the package:
//
//	create   NAME.zenith-new   empty, readable by its owner only, locked with flock
//	write                      by the caller
//	fsync    NAME.zenith-new   else the new name could be durable before the bytes
//	rename   to NAME           from here on a reader finds the new content
//	fsync    the directory     else a crash of the machine could bring the old content back
//
// A process that dies before the rename leaves NAME.zenith-new behind and NAME as it was. The
// lock dies with the process, so the next one that replaces NAME can tell such a leftover from
// a file that another process is writing: it removes the first and waits for the second. There
// is never more than one leftover per file. Code that lists a directory passes over leftovers
// (Leftover).
//
// The package is a leaf: it knows files, and nothing of what is in them.
package durable
