// Package dirfd works in directories that a lesser account can write, such as those of a postgres.
//
// There, a name means nothing: whoever owns the directory may at any moment put a symbolic link, a named pipe or
// another file in its place, and a process of root's that opens, gives away or removes something by its path
// would do that to any file of the machine. So a Dir is an open directory, its methods take single names in it,
// and none of them follows a link, waits for a pipe, or acts on another file than the one it has looked at.
package dirfd
