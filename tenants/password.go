package tenants

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"zenith/internal/durable"
	"zenith/internal/postgres"
)

// PasswordName is the file, in a tenant's directory, with the password of the superuser of a cluster that zenith
// made. Only the page server's account can read it. A password that was changed in SQL is not in it.
const PasswordName = "postgres.password"

// passwordFile gives the path of the tenant's file with a password, "" if it has none.
func (t *tenant) passwordFile() string {
	path := filepath.Join(t.dir, PasswordName)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// newPassword makes a random password for the superuser of a fresh cluster. It is kept in the tenant's directory;
// for initdb there is a copy at forInitdb, which the account that runs initdb can read.
func (t *tenant) newPassword(as postgres.Account, forInitdb string) error {
	text := []byte(rand.Text() + "\n")
	if err := durable.WriteFile(filepath.Join(t.dir, PasswordName), text, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(forInitdb, text, 0o600); err != nil {
		return err
	}
	return as.Own(forInitdb)
}
