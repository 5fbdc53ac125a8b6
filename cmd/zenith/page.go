package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"zenith/internal/pg"
)

func cmdPage(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "page",
		Usage: "look at pages",
		Action: func(c *cli.Context) error {
			return usagef("want zenith page dump")
		},
		Subcommands: []*cli.Command{{
			Name: "dump", ArgsUsage: "POINT PATH BLOCK",
			Usage: "a page as it was at a point: its header, and its bytes in hex",
			Description: `PATH is that of the relation in the data directory, BLOCK counts from its start. Examples:

   zenith page dump main@-1h base/5/1259 0
   zenith page dump main base/5/16384_vm 0 --raw > page`,
			Flags: []cli.Flag{
				tenantFlag(),
				&cli.BoolFlag{Name: "raw", Usage: "the 8192 bytes alone"},
			},
			Action: withArgs(3, 3, e.runPageDump),
		}},
	}
}

func (e *environ) runPageDump(c *cli.Context) error {
	block, err := strconv.ParseUint(c.Args().Get(2), 10, 32)
	if err != nil {
		return usagef("block %q: want a number", c.Args().Get(2))
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, c.Args().Get(0))
		if err != nil {
			return err
		}
		page, err := s.ReadPage(ctx, s.tenant, point, c.Args().Get(1), pg.BlockNumber(block))
		if err != nil {
			return err
		}
		if c.Bool("raw") {
			_, err := e.out.Write(page)
			return err
		}
		return dumpPage(e.out, page)
	})
}

// dumpPage prints a page's header, and its bytes in hex as hexdump -C does: "*" stands for lines of zeros.
func dumpPage(w io.Writer, page pg.Page) error {
	if len(page) != pg.BlockSize {
		return fmt.Errorf("page of %d bytes, want %d", len(page), pg.BlockSize)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lsn %v  checksum %#04x  flags %#04x  lower %d  upper %d  special %d\n",
		page.LSN(), page.Checksum(), page.Flags(), page.Lower(), page.Upper(), page.Special())
	const width = 16
	skipping := false
	for at := 0; at < len(page); at += width {
		line := page[at : at+width]
		if isZero(line) && at > 0 && at+width < len(page) {
			if !skipping {
				b.WriteString("*\n")
			}
			skipping = true
			continue
		}
		skipping = false
		fmt.Fprintf(&b, "%04x  % x  % x  |%s|\n", at, []byte(line[:8]), []byte(line[8:]), printable(line))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// printable gives bytes as ASCII text, with a dot for what cannot be printed.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = '.'
		if c >= ' ' && c < 0x7f {
			out[i] = c
		}
	}
	return string(out)
}
