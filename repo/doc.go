// Package repo keeps every version of every page: the history of one tenant.
package repo
