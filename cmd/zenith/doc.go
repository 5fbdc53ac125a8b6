// Command zenith is git for PostgreSQL: see the README. This package is the command line
// and, as `zenith start --foreground`, the page server daemon.
//
// It is the only package with flags, exit codes, signals and a terminal. Each command is
// a file: its cli.Command (cmdX) and what it does (runX). All but init, start, stop and
// restart talk to the page server over pgwire, through a client of internal/pageserver, and never look
// into the repository; so they work on a remote one as well.
//
// Settings come from flags, else the TOML files of the work directory (config.go), else
// defaults, and from no environment variable. No command changes the current directory.
//
//	main.go        signals, exit codes
//	app.go         the list of commands, global flags -> environ
//	permute.go     flags may stand after arguments
//	config.go      <workdir>/config and <workdir>/pageserver.toml
//	daemon.go      the page server process: start --foreground
//	start.go       start, stop, restart: its life, by the lock on its pid file
//	service.go     tenants.Manager, for the daemon and for init
package main
