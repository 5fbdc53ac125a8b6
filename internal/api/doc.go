// Package api says what a page server can do, in zenith's own words: a Service and its parts,
// the things that they are about (Branch, Mount, Compute, Point, ...) and the kinds of error.
//
// tenants.Manager is the Service. Everything else is a face of it and imports this package
// instead of the Manager: internal/pageserver serves it over PostgreSQL's wire protocol, the
// client there is a Service too, whose methods run in the server, and cmd/zenith prints what
// they return.
//
// Errors that a client can tell apart wrap one of the kinds in errors.go. Each face has one
// table that says what a kind is there: a SQLSTATE in pageserver, an errno in fusefs, an exit
// code in cmd/zenith. Any other error is a fault of the page server or of its machine.
package api
