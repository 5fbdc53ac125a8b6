// Package startup is how a connection of PostgreSQL's protocol begins: the packets that come before the first message with
// a type, and TLS. The page server and the gateway both begin their connections with it.
//
//	client                                   server
//	SSLRequest, GSSENCRequest (optional)  ->
//	                                      <- S or N, one byte; after S the handshake of TLS
//	StartupMessage: version, parameters   ->
//
// or a CancelRequest, or at once the handshake of TLS, with the ALPN protocol "postgresql".
package startup
