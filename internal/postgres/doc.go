// Package postgres runs stock PostgreSQL on this machine. It knows programs, accounts,
// processes and directories; it knows neither tenants nor the page server.
//
//	Distrib   an installation: the directory that has bin/postgres and bin/initdb
//	Account   the operating system user that postgres runs as
//	Server    one running postmaster, a child of this process: start, stop, how it ended
//	Recover   a server that replays the WAL of a base backup and is stopped again
//	Copies    postgres servers on full copies of a point, which outlive this process
//
// A postmaster may be left behind by a process that was killed. What finds and ends such
// leftovers goes by the pid file that WritePIDFile made, which names one process for ever (its
// pid and its start time), and by the current directory, which is the data directory in every
// process of a server.
package postgres
