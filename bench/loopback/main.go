// Command loopback mounts a directory through go-fuse's loopback, as a peer for bench: its
// daemon answers each read, as ours does. Passthrough, by which the kernel would read
// without asking, is off.
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

// noPassthrough is a depth that the kernel refuses; 0 would be the default of 1.
const noPassthrough = -1

// serve mounts dir at mountpoint until a signal comes.
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
