// Command zenith is git for PostgreSQL: see the README. This package is the command line
// and, as `zenith start --foreground`, the page server daemon.
//
// It is the only package with flags, exit codes, signals and a terminal. Each command has
// a file with its cli.Command (cmdX) and the function that runs it (runX). All commands but
// init, start, stop and restart talk to the page server over PostgreSQL's protocol, through
// a client of internal/pageserver. They never read the repository, so they work with a page
// server on another machine as well.
//
// Settings come from flags, else the TOML files of the work directory (config.go), else
// defaults, and from no environment variable. No command changes the current directory.
//
//	main.go        signals, exit codes
//	app.go         the list of commands, global flags -> environ
//	permute.go     lets flags stand after arguments
//	config.go      <workdir>/config and <workdir>/pageserver.toml
//	daemon.go      the page server process: start --foreground
//	start.go       start, stop, restart: the daemon's life; the lock on its pid file tells if it runs
//	service.go     makes the tenants.Manager of the daemon and of init
//	exit.go        errors as exit codes
package main
