// Package lossyfs is a file system for tests that forgets, at a power cut, what was not synced, and does so as a disk
// may that writes in any order and tears what it writes. It follows the idea of LazyFS.
//
//	disk.go   files and directories in memory, as they are and as they are durable
//	cut.go    what a power cut leaves, by a seed
//	fuse.go   the disk as a FUSE file system
//	serve.go  a process that serves one, and is told over its standard input when the power goes
//
// The model:
//
//   - fsync of a file makes its contents and its length durable, and the name that it was created with, as ext4, XFS
//     and btrfs do (badger relies on it); not a name that it got later, by a link or a rename.
//   - fsync of a directory makes the names in it durable, and nothing of what they name. A rename from one directory to
//     another becomes durable in both at once.
//   - At a cut, each block of 4 KiB that was not synced is old, new, or torn: some of its sectors of 512 bytes are
//     new. A file's length is the old or the new one. Of the changes of a directory's names since its last fsync the
//     first few are kept, as a journal does.
//
// A file whose name is gone at the cut, but was durable, is there again.
//
// Modes and owners are durable at once: nothing here is about them.
package lossyfs
