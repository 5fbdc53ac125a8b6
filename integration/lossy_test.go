package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"zenith/integration/lossyfs"
)

// lossyEnv is set in the process that serves a lossy disk: this test binary again. It names the mount point.
const lossyEnv = "ZENITH_TEST_LOSSY"

// serveLossy is that process.
func serveLossy(dir string) int {
	if err := lossyfs.Serve(dir, os.Stdin, os.Stdout); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// lossyDisk is a disk that forgets what was not synced when its power is cut, in another process.
type lossyDisk struct {
	t     *testing.T
	dir   string
	to    io.WriteCloser
	reply *bufio.Scanner
}

// newLossyDisk mounts a lossy disk at dir, until the end of the test.
func newLossyDisk(t *testing.T, dir string) *lossyDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		cannot(t, "a file system that other accounts may use needs root")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), lossyEnv+"="+dir)
	cmd.Stderr = os.Stderr
	d := &lossyDisk{t: t, dir: dir}
	if d.to, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.reply = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.to.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that serves the lossy disk: %v", err)
		}
	})
	d.answer("mount")
	return d
}

// do has the disk's process do something.
func (d *lossyDisk) do(command string) {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.to, command); err != nil {
		d.t.Fatalf("tell the lossy disk to %s: %v", command, err)
	}
	d.answer(command)
}

func (d *lossyDisk) answer(command string) {
	d.t.Helper()
	if !d.reply.Scan() || d.reply.Text() != "ok" {
		d.t.Fatalf("the lossy disk's answer to %s: %q, %v", command, d.reply.Text(), d.reply.Err())
	}
}
