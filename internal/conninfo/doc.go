// Package conninfo reads and writes connection strings, as libpq defines them: KEYWORD=VALUE pairs, or a
// postgresql:// URI.
//
// A connection string is a program of sorts: its keywords make the process that connects read files
// (passfile, service, sslkey, ...), and what it leaves out comes from that process's environment and home
// directory. So the string that a user gave to another process, the page server, has two lives here:
//
//   - FillIn, in the process of the user, puts in what the string leaves out, from that user's environment,
//     password file and service file, as libpq would;
//   - CheckTaken, in the page server, refuses every keyword that is not in a table of harmless ones.
//
// No error of this package has a value of the string in it: it might be a password.
package conninfo
