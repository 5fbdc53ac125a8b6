package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program, for main and for tests. It gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &environ{in: stdin, out: stdout, err: stderr}
	app := newApp(e)
	args, err := permute(app, args)
	if err == nil {
		err = app.RunContext(ctx, append([]string{"zenith"}, args...))
	}
	return e.report(ctx, err)
}
