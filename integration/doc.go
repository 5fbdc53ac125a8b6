// Package integration has tests that drive the built binary, real PostgreSQL servers and
// real mounts. They type the commands that a user would type, and check what comes out.
package integration
