package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"zenith/internal/api"
)

// otherAccounts says what a user can do where the account zenith cannot be made.
const otherAccounts = "make it, or choose another one with --account; with --account root the page server keeps all of root's rights"

// makeAccount makes the account of a page server, if it is the usual one and not there: one of the system, without a
// password, a shell or a home. made says that it did.
func makeAccount(name string) (made bool, err error) {
	if _, err := user.Lookup(name); err == nil || name != usualAccount {
		return false, nil
	}
	_, noGroup := user.LookupGroup(name)
	commands := accountCommands(name, noGroup == nil, func(program string) bool { return findProgram(program) != "" })
	if commands == nil {
		return false, api.Errorf(api.ErrUnsupported, "account %s: no such user on this machine, and neither useradd nor adduser to make it: %s", name, otherAccounts)
	}
	for _, c := range commands {
		if out, err := exec.Command(findProgram(c[0]), c[1:]...).CombinedOutput(); err != nil {
			if _, err := user.Lookup(name); err == nil { // another init has made it meanwhile
				return false, nil
			}
			return false, api.Errorf(api.ErrUnsupported, "account %s: %s: %v: %s (%s)", name, c[0], err, oneLine(strings.TrimSpace(string(out))), otherAccounts)
		}
	}
	return true, nil
}

// accountCommands gives the commands that make an account and a group of the same name, of the programs that there
// are: shadow's useradd, which most distributions have, or those of BusyBox (Alpine). nil: there are neither.
func accountCommands(name string, group bool, has func(program string) bool) [][]string {
	switch {
	case has("useradd"):
		own := []string{"--user-group"}
		if group {
			own = []string{"--gid", name}
		}
		return [][]string{append(append([]string{"useradd", "--system"}, own...), "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name)}
	case has("adduser") && has("addgroup"):
		commands := [][]string{{"adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", "-G", name, name}}
		if !group {
			commands = append([][]string{{"addgroup", "-S", name}}, commands...)
		}
		return commands
	}
	return nil
}

// findProgram gives the path of a program of the system's administrator, whose directories are not in everybody's
// PATH; "" if there is none.
func findProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		at := filepath.Join(dir, name)
		if fi, err := os.Stat(at); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
			return at
		}
	}
	return ""
}
