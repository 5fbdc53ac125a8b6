// Command loopback mounts a directory through go-fuse's loopback file system, as a peer for bench. Its daemon
// answers each read, as zenith's does: passthrough, by which the kernel would read the file by itself, is off.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: loopback MOUNTPOINT DIR")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		os.Exit(1)
	}
}

// noPassthrough is a stack depth that the kernel refuses, which turns passthrough off. 0 would mean the
// default, 1.
const noPassthrough = -1

// serve mounts dir at mountpoint, read-only, until a signal ends this process.
func serve(mountpoint, dir string) error {
	root, err := fs.NewLoopbackRoot(dir)
	if err != nil {
		return err
	}
	server, err := fs.Mount(mountpoint, root, &fs.Options{
		MountOptions: fuse.MountOptions{MaxStackDepth: noPassthrough, Options: []string{"ro"}, FsName: dir, Name: "loopback"},
	})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return server.Unmount()
}
