// Package gateway is one port for all states of all branches: the state is in the name of the database, and a connection
// wakes the postgres of that state.
//
//	app            database app, branch main
//	app@dev        database app, branch dev
//	app@-10m       database app, main as it was ten minutes ago
//	app@dev@0_38D7618
//
// Of what a client says only the beginning is read (package startup): TLS ends here, and the parameter database is
// rewritten. What follows goes to the postgres as it is, and its answers to the client, so versions of the protocol,
// authentication, replication and COPY are matters between the two. Of the answers, the messages up to the first
// ReadyForQuery are looked at: the key for cancel requests is remembered, and a notice that says which state this is goes
// between them. From there on, bytes are copied (by splice(2), where there is no TLS).
//
//	client ──TLS──> gateway ──127.0.0.1──> postgres, which asks for a password (its pg_hba.conf is zenith's)
//	client ──unix socket──> gateway ──unix socket──> postgres, for the owner, whom it lets in without
//
// Postgres sees the gateway's address instead of the client's. So whoever is not the owner of the page server, at the
// other end of a unix socket, is connected to the TCP port, where nobody is let in without a proof.
package gateway
