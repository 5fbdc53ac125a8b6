package postgres

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strconv"
)

// Address says where a server of this machine listens: see PlaceSettings.
type Address struct {
	Dir  string // the directory of its unix socket, if one fits there
	Port int
	Login
}

// Checkpoint has a server write a checkpoint now, and returns when it has. It runs the installation's psql as the
// account of the server, which most configurations let in, and never asks for a password.
func Checkpoint(ctx context.Context, d Distrib, as Account, at Address) error {
	host := cmp.Or(SocketDir(at.Dir), "127.0.0.1")
	cmd := exec.CommandContext(ctx, d.bin("psql"), "-Xqw", "-h", host, "-p", strconv.Itoa(at.Port), "-U", at.User, "-d", at.Database, "-c", "CHECKPOINT")
	as.prepare(cmd)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w: %s", err, lastLine(out))
	}
	return nil
}
