package pageserver

import (
	"context"

	"zenith/internal/access"
	"zenith/internal/api"
)

// lifeVerbs are about what becomes of branches.
var lifeVerbs = group{"The life of branches", []aVerb{
	&branchDetailsVerb, &branchExpireVerb, &branchProtectVerb, &branchRenameVerb, &branchResetVerb, &branchRestoreVerb, &branchPromoteVerb,
	&tagCreateVerb, &tagListVerb, &tagDeleteVerb, &diskUsageVerb,
}}

var branchDetailsVerb = list[tenantArgs, api.BranchDetail]{
	verb: verb{name: "branch_details", role: access.Reader, help: "a tenant's branches in the order of their creation, a row each, with the state of the postgres on each, the time of its last commit, and the bytes that its own pages and WAL take"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.BranchDetail, error) {
		return c.svc.BranchDetails(ctx, a.Tenant)
	},
}

// BranchDetails is api.Service's.
func (c *Client) BranchDetails(ctx context.Context, tenant string) ([]api.BranchDetail, error) {
	return branchDetailsVerb.call(ctx, c, tenantArgs{tenant})
}

type branchExpireArgs struct {
	Tenant string     `arg:"TENANT"`
	Name   string     `arg:"NAME"`
	When   api.Expiry `arg:"WHEN"`
}

type branchExpireRow struct {
	Branch api.Branch `json:"branch_expire"`
}

var branchExpireVerb = one[branchExpireArgs, branchExpireRow]{
	verb: verb{name: "branch_expire", role: access.Writer, help: "says when a branch is no longer needed; then it is deleted as soon as nobody uses it: a branch object"},
	do: func(ctx context.Context, c *call, a branchExpireArgs) (branchExpireRow, error) {
		b, err := c.svc.BranchExpire(ctx, a.Tenant, a.Name, a.When)
		return branchExpireRow{b}, err
	},
}

// BranchExpire is api.Service's.
func (c *Client) BranchExpire(ctx context.Context, tenant, name string, when api.Expiry) (api.Branch, error) {
	r, err := branchExpireVerb.call(ctx, c, nil, branchExpireArgs{tenant, name, when})
	return r.Branch, err
}

type branchProtectArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Off    bool   `arg:"off"`
}

var branchProtectVerb = plain[branchProtectArgs]{
	verb: verb{name: "branch_protect", role: access.Admin, help: "has a branch neither deleted nor renamed nor reset, or ends that; main is protected from the beginning"},
	do: func(ctx context.Context, c *call, a branchProtectArgs) error {
		return c.svc.BranchProtect(ctx, a.Tenant, a.Name, !a.Off)
	},
}

// BranchProtect is api.Service's.
func (c *Client) BranchProtect(ctx context.Context, tenant, name string, on bool) error {
	return branchProtectVerb.call(ctx, c, nil, branchProtectArgs{tenant, name, !on})
}

type branchRenameArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	To     string `arg:"NEW_NAME"`
}

var branchRenameVerb = plain[branchRenameArgs]{
	verb: verb{name: "branch_rename", role: access.Admin, help: "gives a branch another name; no postgres may run on it"},
	do: func(ctx context.Context, c *call, a branchRenameArgs) error {
		return c.svc.BranchRename(ctx, a.Tenant, a.Name, a.To)
	},
}

// BranchRename is api.Service's.
func (c *Client) BranchRename(ctx context.Context, tenant, name, to string) error {
	return branchRenameVerb.call(ctx, c, nil, branchRenameArgs{tenant, name, to})
}

type branchResetArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Point  string `arg:"POINT,optional"`
	Force  bool   `arg:"force"`
}

var branchResetVerb = one[branchResetArgs, api.Replaced]{
	verb: verb{name: "branch_reset", role: access.Writer, help: "has a branch's name stand for a point of any branch, and keeps what it stood for for a week; without a point, or with an empty one, for the head of the branch that it began on. A postgres on it starts anew; where clients are connected to that, with force only"},
	do: func(ctx context.Context, c *call, a branchResetArgs) (api.Replaced, error) {
		return c.svc.BranchReset(ctx, a.Tenant, a.Name, a.Point, a.Force)
	},
}

// BranchReset is api.Service's.
func (c *Client) BranchReset(ctx context.Context, tenant, name, point string, force bool) (api.Replaced, error) {
	return branchResetVerb.call(ctx, c, nil, branchResetArgs{tenant, name, point, force})
}

type branchRestoreArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Point  string `arg:"POINT"`
	Force  bool   `arg:"force"`
}

var branchRestoreVerb = one[branchRestoreArgs, api.Replaced]{
	verb: verb{name: "branch_restore", role: access.Admin, help: "has a branch's name stand for a point of its own past, of which the name may be left out; else it is branch_reset, but done for protected branches, too"},
	do: func(ctx context.Context, c *call, a branchRestoreArgs) (api.Replaced, error) {
		return c.svc.BranchRestore(ctx, a.Tenant, a.Name, a.Point, a.Force)
	},
}

// BranchRestore is api.Service's.
func (c *Client) BranchRestore(ctx context.Context, tenant, name, point string, force bool) (api.Replaced, error) {
	return branchRestoreVerb.call(ctx, c, nil, branchRestoreArgs{tenant, name, point, force})
}

type branchPromoteArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Over   string `arg:"BRANCH,optional"`
	Force  bool   `arg:"force"`
}

var branchPromoteVerb = one[branchPromoteArgs, api.Replaced]{
	verb: verb{name: "branch_promote", role: access.Admin, help: "has another branch's name stand for this branch, whose own name is free then, and keeps what that stood for for a week; without BRANCH, or with an empty one, that of the branch that it began on"},
	do: func(ctx context.Context, c *call, a branchPromoteArgs) (api.Replaced, error) {
		return c.svc.BranchPromote(ctx, a.Tenant, a.Name, a.Over, a.Force)
	},
}

// BranchPromote is api.Service's.
func (c *Client) BranchPromote(ctx context.Context, tenant, name, over string, force bool) (api.Replaced, error) {
	return branchPromoteVerb.call(ctx, c, nil, branchPromoteArgs{tenant, name, over, force})
}

type tagCreateArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"TAG"`
	Point  string `arg:"POINT"`
}

var tagCreateVerb = one[tagCreateArgs, api.Tag]{
	verb: verb{name: "tag_create", role: access.Writer, help: "names a point, whose history is kept until the tag is deleted"},
	do: func(ctx context.Context, c *call, a tagCreateArgs) (api.Tag, error) {
		return c.svc.TagCreate(ctx, a.Tenant, a.Name, a.Point)
	},
}

// TagCreate is api.Service's.
func (c *Client) TagCreate(ctx context.Context, tenant, name, point string) (api.Tag, error) {
	return tagCreateVerb.call(ctx, c, nil, tagCreateArgs{tenant, name, point})
}

var tagListVerb = list[tenantArgs, api.Tag]{
	verb: verb{name: "tag_list", role: access.Reader, help: "a tenant's tags, sorted by name"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.Tag, error) {
		return c.svc.TagList(ctx, a.Tenant)
	},
}

// TagList is api.Service's.
func (c *Client) TagList(ctx context.Context, tenant string) ([]api.Tag, error) {
	return tagListVerb.call(ctx, c, tenantArgs{tenant})
}

type tagArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"TAG"`
}

var tagDeleteVerb = plain[tagArgs]{
	verb: verb{name: "tag_delete", role: access.Admin, help: "deletes a tag: its point is kept only as long as other points are, from then on"},
	do: func(ctx context.Context, c *call, a tagArgs) error {
		return c.svc.TagDelete(ctx, a.Tenant, a.Name)
	},
}

// TagDelete is api.Service's.
func (c *Client) TagDelete(ctx context.Context, tenant, name string) error {
	return tagDeleteVerb.call(ctx, c, nil, tagArgs{tenant, name})
}

var diskUsageVerb = list[tenantArgs, api.Usage]{
	verb: verb{name: "du", role: access.Reader, help: "the room that each branch takes: its own pages and WAL, what its deletion would give back, and from where on its history is kept; then the branches that were deleted and are kept"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.Usage, error) {
		return c.svc.DiskUsage(ctx, a.Tenant)
	},
}

// DiskUsage is api.Service's.
func (c *Client) DiskUsage(ctx context.Context, tenant string) ([]api.Usage, error) {
	return diskUsageVerb.call(ctx, c, tenantArgs{tenant})
}
