// Package privileged does what takes root: mounts, binds, and whatever else no ordinary account may do. Nothing
// here reads WAL, pages, or what comes over a network.
//
//	Helper      the few things that are done, as an interface
//	InProcess   does them in this process: where root runs all of it, and, as far as an ordinary user may, for that
//
// A mount is known by the number that the kernel has given it. Before anything is done to one, what is mounted at
// its place now is compared with that number: the directories above a mount point may belong to anybody, and names
// in them can change.
package privileged
