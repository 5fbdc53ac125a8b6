package pageserver

import (
	"context"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// branchVerbs are about branches and what their points mean.
var branchVerbs = group{"Branches", []aVerb{&branchListVerb, &branchCreateVerb, &branchUpgradeVerb, &branchDeleteVerb, &branchUndeleteVerb, &branchDeletedVerb, &lsnVerb}}

type branchListRow struct {
	Branches []api.Branch `json:"branch_list"`
}

var branchListVerb = one[tenantArgs, branchListRow]{
	verb: verb{name: "branch_list", role: access.Reader, help: "a tenant's branches in the order of their creation: a JSON array of branch objects"},
	do: func(ctx context.Context, c *call, a tenantArgs) (branchListRow, error) {
		list, err := c.svc.BranchList(ctx, a.Tenant)
		return branchListRow{list}, err
	},
}

// BranchList is api.Service's.
func (c *Client) BranchList(ctx context.Context, tenant string) ([]api.Branch, error) {
	r, err := branchListVerb.call(ctx, c, nil, tenantArgs{tenant})
	return r.Branches, err
}

type branchCreateArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Point  string `arg:"POINT"`

	When  api.Expiry `arg:"WHEN,optional"`
	Owner string     `arg:"OWNER,optional"`
	Note  string     `arg:"NOTE,optional"`
}

type branchCreateRow struct {
	Branch api.Branch `json:"branch_create"`
}

var branchCreateVerb = one[branchCreateArgs, branchCreateRow]{
	verb: verb{name: "branch_create", role: access.Writer, help: "makes a branch that begins at a point: a branch object. WHEN says when nobody needs it any more"},
	do: func(ctx context.Context, c *call, a branchCreateArgs) (branchCreateRow, error) {
		b, err := c.svc.BranchCreate(ctx, a.Tenant, a.Name, a.Point, api.BranchOptions{Expires: a.When, Owner: a.Owner, Note: a.Note})
		return branchCreateRow{b}, err
	},
}

// BranchCreate is api.Service's.
func (c *Client) BranchCreate(ctx context.Context, tenant, name, point string, o api.BranchOptions) (api.Branch, error) {
	r, err := branchCreateVerb.call(ctx, c, nil, branchCreateArgs{tenant, name, point, o.Expires, o.Owner, o.Note})
	return r.Branch, err
}

type branchUpgradeArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Point  string `arg:"POINT"`
	Major  uint32 `arg:"MAJOR"`
	Check  bool   `arg:"check"`
}

type branchUpgradeRow struct {
	Line   *string     `json:"line"`           // of pg_upgrade's output
	Branch *api.Branch `json:"branch_upgrade"` // in the last row
}

// branchUpgradeVerb is for the owner alone: pg_upgrade loads the libraries that the cluster's pg_proc names, which a
// writer chooses, and it runs as the account that all tenants share, because it wants an account that has a name.
var branchUpgradeVerb = stream[branchUpgradeArgs, branchUpgradeRow]{
	verb: verb{name: "branch_upgrade", role: access.Owner, help: "makes a branch of a newer major version from a point by pg_upgrade on a copy: a row for each line that it prints, and a last one with a branch object; check: only finds out whether it could"},
	do: func(ctx context.Context, c *call, a branchUpgradeArgs, send func(branchUpgradeRow) error) error {
		o := api.UpgradeOptions{Major: int(a.Major), CheckOnly: a.Check, Progress: c.notices(),
			Output: func(line string) error { return send(branchUpgradeRow{Line: &line}) }}
		b, err := c.svc.BranchUpgrade(ctx, a.Tenant, a.Name, a.Point, o)
		if err != nil || a.Check {
			return err
		}
		return send(branchUpgradeRow{Branch: &b})
	},
}

// BranchUpgrade is api.Service's.
func (c *Client) BranchUpgrade(ctx context.Context, tenant, name, point string, o api.UpgradeOptions) (b api.Branch, err error) {
	a := branchUpgradeArgs{tenant, name, point, uint32(o.Major), o.CheckOnly}
	err = branchUpgradeVerb.call(ctx, c, o.Progress, a, func(r branchUpgradeRow) error {
		if r.Branch != nil {
			b = *r.Branch
		}
		if r.Line != nil {
			return o.Output(*r.Line)
		}
		return nil
	})
	return b, err
}

type branchDeleteArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	Force  bool   `arg:"force"`
}

var branchDeleteVerb = plain[branchDeleteArgs]{
	verb: verb{name: "branch_delete", role: access.Admin, help: "deletes a branch that has no children, no mount and no running postgres; main, the last one, and one with history of its own only with force"},
	do: func(ctx context.Context, c *call, a branchDeleteArgs) error {
		return c.svc.BranchDelete(ctx, a.Tenant, a.Name, a.Force)
	},
}

// BranchDelete is api.Service's.
func (c *Client) BranchDelete(ctx context.Context, tenant, name string, force bool) error {
	return branchDeleteVerb.call(ctx, c, nil, branchDeleteArgs{tenant, name, force})
}

type branchUndeleteArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
	As     string `arg:"NEW_NAME,optional"`
}

type branchUndeleteRow struct {
	Branch api.Branch `json:"branch_undelete"`
}

var branchUndeleteVerb = one[branchUndeleteArgs, branchUndeleteRow]{
	verb: verb{name: "branch_undelete", role: access.Admin, help: "brings back the branch that was deleted last under a name, or by its timeline's id, perhaps as another one: a branch object"},
	do: func(ctx context.Context, c *call, a branchUndeleteArgs) (branchUndeleteRow, error) {
		b, err := c.svc.BranchUndelete(ctx, a.Tenant, a.Name, a.As)
		return branchUndeleteRow{b}, err
	},
}

// BranchUndelete is api.Service's.
func (c *Client) BranchUndelete(ctx context.Context, tenant, name, as string) (api.Branch, error) {
	r, err := branchUndeleteVerb.call(ctx, c, nil, branchUndeleteArgs{tenant, name, as})
	return r.Branch, err
}

var branchDeletedVerb = list[tenantArgs, api.DeletedBranch]{
	verb: verb{name: "branch_deleted", role: access.Reader, help: "the branches that were deleted and can be brought back, the last one first"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.DeletedBranch, error) {
		return c.svc.BranchDeleted(ctx, a.Tenant)
	},
}

// BranchDeleted is api.Service's.
func (c *Client) BranchDeleted(ctx context.Context, tenant string) ([]api.DeletedBranch, error) {
	return branchDeletedVerb.call(ctx, c, tenantArgs{tenant})
}

type pointArgs struct {
	Tenant string `arg:"TENANT"`
	Point  string `arg:"POINT"`
}

type lsnRow struct {
	LSN pg.LSN `json:"lsn"`
}

var lsnVerb = one[pointArgs, lsnRow]{
	verb: verb{name: "lsn", role: access.Reader, help: "the LSN that a point means"},
	do: func(ctx context.Context, c *call, a pointArgs) (lsnRow, error) {
		lsn, err := c.svc.LSN(ctx, a.Tenant, a.Point)
		return lsnRow{lsn}, err
	},
}

// LSN is api.Service's.
func (c *Client) LSN(ctx context.Context, tenant, point string) (pg.LSN, error) {
	r, err := lsnVerb.call(ctx, c, nil, pointArgs{tenant, point})
	return r.LSN, err
}
