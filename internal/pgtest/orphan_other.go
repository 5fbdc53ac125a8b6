//go:build !linux

package pgtest

import "os/exec"

// dieWithUs does nothing: only Linux has PR_SET_PDEATHSIG.
func dieWithUs(*exec.Cmd) {}
