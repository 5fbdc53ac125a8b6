package pgtest

import (
	"os/exec"
	"syscall"
)

// dieWithUs makes the kernel stop the server at once if the test's process ends without stopping it: after a
// panic or a timeout, no cleanup function runs.
func dieWithUs(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
}
