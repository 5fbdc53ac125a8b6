package pageserver

import (
	"context"
	"path/filepath"

	"zenith/internal/api"
)

var mountColumns = textColumns("dir", "mode", "tenant", "branch", "timeline", "lsn")

// mountCommands are about mounts.
var mountCommands = []command{
	{name: "mount", usage: "TENANT POINT DIR [scratch]", min: 3, max: 4, cols: mountColumns, run: runMount},
	{name: "mount_tree", usage: "DIR", min: 1, max: 1, cols: mountColumns, run: runMountTree},
	{name: "umount", usage: "DIR [lazy]", min: 1, max: 2, run: runUmount},
	{name: "mount_list", cols: mountColumns, run: runMountList},
}

func runMount(ctx context.Context, c *call) error {
	scratch, err := c.keyword(3, "scratch")
	if err != nil {
		return err
	}
	if c.args[1] == "" {
		return api.Errorf(api.ErrBadArgument, "mount: no point")
	}
	return c.mount(ctx, api.MountOptions{Tenant: c.args[0], Point: c.args[1], Dir: c.args[2], Scratch: scratch})
}

func runMountTree(ctx context.Context, c *call) error {
	return c.mount(ctx, api.MountOptions{Dir: c.args[0]})
}

func (c *call) mount(ctx context.Context, o api.MountOptions) error {
	if err := absolute(o.Dir); err != nil {
		return err
	}
	m, err := c.svc().Mount(ctx, o)
	if err != nil {
		return err
	}
	return c.mountRow(m)
}

func runUmount(ctx context.Context, c *call) error {
	lazy, err := c.keyword(1, "lazy")
	if err != nil {
		return err
	}
	if err := absolute(c.args[0]); err != nil {
		return err
	}
	return c.svc().Umount(ctx, c.args[0], lazy)
}

func runMountList(ctx context.Context, c *call) error {
	list, err := c.svc().MountList(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := c.mountRow(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) mountRow(m api.Mount) error {
	var lsn any
	if m.LSN != 0 {
		lsn = m.LSN.String()
	}
	return c.reply.row(m.Dir, m.Mode, m.Tenant, m.Branch, m.Timeline, lsn)
}

// absolute refuses a path that would mean something else here than to the client.
func absolute(dir string) error {
	if !filepath.IsAbs(dir) {
		return api.Errorf(api.ErrBadArgument, "%s: not an absolute path", api.Clip(dir))
	}
	return nil
}
