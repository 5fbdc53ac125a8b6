// Package pageserver is zenith's face to the network: a server that speaks
// PostgreSQL's wire protocol, and the small client with which the command line
// talks to it. pgproto3 is used here and nowhere else; no type of it leaves.
//
// The server knows commands, messages and SQLSTATEs. What the commands do is behind
// api.Service, which tenants.Manager satisfies. A line that psql sends
//
//	branch_create 0123...cdef "my branch" main@0/16B3748
//
// is cut into words (lexer.go) and found in the table of verbs (table.go). A verb's row has all
// that is known of it, in the file of its noun (verb_branch.go ...): name, arguments, columns,
// handler, what it does, and beside it the method of the client that sends it. The arguments are
// the fields of a struct (argument.go), and so are the columns of a reply (row.go), which the
// client finds by their names. A verb answers with rows or none, or with a CopyOut (verb.go); two
// speak CopyIn and CopyBoth. Simple and extended protocol differ only in who sends the row
// description and when (simple.go, extended.go); handlers cannot tell.
//
// Who a client is, startup finds out (admit.go, by package access), and authorize.go what it may do:
// the least role is a column of the verb's row. What a client may not know of does not exist for it.
//
// On a replication connection the commands of PostgreSQL's walsender come first: they have
// a grammar of their own (repl_parse.go), a table of their own (replication.go), and are
// answered from an api.ReplicationSource (walsender.go, basebackup.go, repl_slot.go).
//
// Errors: the Service returns errors that wrap one of api's kinds, one table (errors.go)
// pairs kinds with SQLSTATEs, and the client turns the SQLSTATE back into the
// kind, so that the command line's exit codes are the same whether a thing failed here
// or there. An error leaves the connection usable, except one of the protocol itself.
//
// What lives as long as a connection: the throw-away postgres of pg_exec, and the
// context that a command runs in, which also ends when the client asks to cancel.
package pageserver
