// Package admin is the page server's listener for operators, over HTTP: nothing on it changes anything.
//
//	/metrics          for Prometheus               a reader
//	/healthz          the process answers          anybody
//	/readyz           it can do its work           anybody
//	/debug/pprof/     profiles, if they are asked for in the settings   an admin of all tenants
//
// Who a client is, and which tenants it sees, is decided by internal/access as for the wire protocol:
//
//	unix socket           by the account at the other end
//	TCP, on loopback      by the method trust, or by a password or a token (HTTP Basic; a token as Bearer, too)
//	TCP, anywhere else    by a password, a token or a certificate, over TLS only
//
// It is the door to the Prometheus client library: the rest of zenith counts with plain numbers (internal/meter,
// api.Stats), and the table in metrics.go says what each is called.
package admin
