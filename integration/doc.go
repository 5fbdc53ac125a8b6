// Package integration drives the built binary, real PostgreSQL servers and real mounts.
// It has tests only: what a person would type, and whether she sees what she should.
package integration
