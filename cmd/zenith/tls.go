package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/internal/durable"
)

// tlsConfig is the part of pageserver.toml that is about encryption. Paths are relative to the work directory.
type tlsConfig struct {
	Cert     string `toml:"cert,omitempty"`
	Key      string `toml:"key,omitempty"`
	ClientCA string `toml:"client_ca,omitempty"`
}

// The files that init --tls makes.
const (
	certFile = "server.crt"
	keyFile  = "server.key"
)

// loadTLS reads the certificates that the settings name; nil: they name none, and connections are not encrypted.
func (e *environ) loadTLS(c tlsConfig) (*tls.Config, error) {
	if c.Cert == "" && c.Key == "" && c.ClientCA == "" {
		return nil, nil
	}
	if c.Cert == "" || c.Key == "" {
		return nil, api.Errorf(api.ErrBadArgument, "%s: tls: want both cert and key", e.path(serverFile))
	}
	cert, key := e.inWorkdir(c.Cert), e.inWorkdir(c.Key)
	if err := checkPrivate(key); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load the server's certificate %s: %w", cert, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if c.ClientCA == "" {
		return config, nil
	}
	text, err := os.ReadFile(e.inWorkdir(c.ClientCA))
	if err != nil {
		return nil, fmt.Errorf("load the authority of clients' certificates: %w", err)
	}
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load the authority of clients' certificates: %s has no certificate", c.ClientCA)
	}
	return config, nil
}

// inWorkdir gives the path of a file that the settings name.
func (e *environ) inWorkdir(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return e.path(path)
}

// checkPrivate refuses a private key that others may read (check_ssl_key_file_permissions). The group may read
// that of root, which is how Debian keeps it.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("load the server's private key: %w", err)
	}
	if info.Mode().Perm()&0o037 != 0 || info.Mode().Perm()&0o040 != 0 && ownerOf(info) != 0 {
		return api.Errorf(api.ErrNotAllowed, "private key %s: others may read it; want mode 0600, or 0640 if it is root's", path)
	}
	return nil
}

// lifeOfCert is how long a certificate of init --tls is valid: nobody will think of it again.
const lifeOfCert = 10 * 365 * 24 * time.Hour

// makeCert makes a self-signed certificate and its key in the work directory, for the host that the page server
// listens on and the names of this machine, and gives the certificate's fingerprint.
func (e *environ) makeCert(listen hostPort) (fingerprint string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make a private key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", fmt.Errorf("make a serial number: %w", err)
	}
	names := hostsOf(listen)
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifeOfCert),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("make a private key: %w", err)
	}
	sum := sha256.Sum256(der)
	return fingerprintText(sum[:]), errors.Join(
		durable.WriteFile(e.path(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
		durable.WriteFile(e.path(certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
}

// hostsOf gives the names by which clients may call a page server: where it listens, if that is one place, this machine's
// name, and loopback.
func hostsOf(listen hostPort) (names []string) {
	host, _, _ := net.SplitHostPort(string(listen)) // it was checked before
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		names = append(names, host)
	}
	if own, err := os.Hostname(); err == nil && own != "" {
		names = append(names, own)
	}
	for _, loopback := range []string{"localhost", "127.0.0.1", "::1"} {
		if host != loopback {
			names = append(names, loopback)
		}
	}
	return names
}

// fingerprintText writes the hash of a certificate as openssl x509 -fingerprint does.
func fingerprintText(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}
