// Package access decides who a client of the page server is, and what it may do.
//
//	a connection  ->  Policy  ->  Principal  ->  may it do this verb to that tenant?
//
// A Principal is a client that was let in: the owner of the work directory, an account of this
// machine, or a client of the port of TCP. It has a Role for some tenants, or for all of them. Roles are ordered,
// each may do what the ones below it may:
//
//	reader  lists, pages, WAL, backups: whatever gives data out and changes nothing
//	writer  branches, postgres servers, receivers: whatever adds to a tenant
//	admin   tenants, collection, deletion, other page servers, settings that run programs
//	owner   everything; who the operating system lets do that anyway
//
// Nobody is an owner by what they know, only by their account: root, and the owner of the work
// directory, through the unix socket in it. Whoever is not told to be let in is not.
package access
