// Package changelog tells what commits did in the words of users: which tables they changed, created, dropped,
// emptied, rewrote or altered, by the names that these had then. It joins the index of commits (package history)
// with the catalogs as of the states around a commit (package catalog).
package changelog
