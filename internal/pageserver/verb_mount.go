package pageserver

import (
	"context"
	"slices"

	"zenith/internal/access"
	"zenith/internal/api"
)

// mountVerbs are about mounts on the page server's machine.
var mountVerbs = group{"Mounts", []aVerb{&mountVerb, &mountTreeVerb, &umountVerb, &mountListVerb}}

type mountArgs struct {
	Tenant  string `arg:"TENANT"`
	Point   string `arg:"POINT"`
	Dir     string `arg:"DIR"`
	Scratch bool   `arg:"scratch"`
}

var mountVerb = one[mountArgs, api.Mount]{
	verb: verb{name: "mount", role: access.Reader, local: true, raise: raiseMount, gives: true, help: "mounts a point as a data directory: a head for its one writer, an LSN or time read-only, either one as scratch"},
	do: func(ctx context.Context, c *call, a mountArgs) (api.Mount, error) {
		if a.Point == "" {
			return api.Mount{}, api.Errorf(api.ErrBadArgument, "mount: no point")
		}
		return c.svc.Mount(ctx, api.MountOptions{Tenant: a.Tenant, Point: a.Point, Dir: a.Dir, Scratch: a.Scratch})
	},
}

type mountTreeArgs struct {
	Dir string `arg:"DIR"`
}

var mountTreeVerb = one[mountTreeArgs, api.Mount]{
	verb: verb{name: "mount_tree", role: access.Reader, local: true, gives: true, help: "mounts the tree of all states of all tenants, read-only"},
	do: func(ctx context.Context, c *call, a mountTreeArgs) (api.Mount, error) {
		return c.svc.Mount(ctx, api.MountOptions{Dir: a.Dir})
	},
}

// Mount is api.Service's.
func (c *Client) Mount(ctx context.Context, o api.MountOptions) (api.Mount, error) {
	if o.Point == "" {
		return mountTreeVerb.call(ctx, c, nil, mountTreeArgs{o.Dir})
	}
	return mountVerb.call(ctx, c, nil, mountArgs{o.Tenant, o.Point, o.Dir, o.Scratch})
}

type umountArgs struct {
	Dir  string `arg:"DIR"`
	Lazy bool   `arg:"lazy"`
}

var umountVerb = plain[umountArgs]{
	verb: verb{name: "umount", role: access.Admin, local: true, help: "ends a mount, also one that a killed page server left; lazy: as soon as nobody uses it"},
	do: func(ctx context.Context, c *call, a umountArgs) error {
		return c.svc.Umount(ctx, a.Dir, a.Lazy)
	},
}

// Umount is api.Service's.
func (c *Client) Umount(ctx context.Context, dir string, lazy bool) error {
	return umountVerb.call(ctx, c, nil, umountArgs{dir, lazy})
}

var mountListVerb = list[noArgs, api.Mount]{
	verb: verb{name: "mount_list", role: access.Reader, each: true, help: "the mounts, those of postgres servers included"},
	do: func(ctx context.Context, c *call, _ noArgs) ([]api.Mount, error) {
		all, err := c.svc.MountList(ctx)
		return slices.DeleteFunc(all, func(m api.Mount) bool { return !c.mayRead(m.Tenant) }), err
	},
}

// MountList is api.Service's.
func (c *Client) MountList(ctx context.Context) ([]api.Mount, error) {
	return mountListVerb.call(ctx, c, noArgs{})
}
