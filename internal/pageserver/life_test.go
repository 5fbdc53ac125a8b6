package pageserver_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pageserver"
)

var details = []api.BranchDetail{
	{Branch: branches[0], State: api.ComputeRunning, OwnBytes: 1 << 40, LastWrite: &leaseUntil},
	{Branch: api.Branch{Name: "pr", TimelineID: lineB, LatestValidLSN: 1, AncestorID: new(lineA), Expires: &leaseUntil, Protected: true, Owner: "ci", Note: "PR 4521"}, Waits: "has branches", Shared: 7},
}

var replaced = api.Replaced{Branch: branches[1], From: "main", At: 0x16B3748, KeptAs: "dev.old-1", KeptUntil: leaseUntil, Restarted: true}

var tagA = api.Tag{Name: "v42", Branch: "main", TimelineID: lineA, LSN: 0x16B3748, Time: &leaseUntil, Created: leaseUntil}

var usage = []api.Usage{{Branch: "main", TimelineID: lineA, PageBytes: 1, WALBytes: 2, GivesBack: 3, FirstLSN: 4, FirstTime: &leaseUntil}, {Branch: "x", TimelineID: lineB, Deleted: true}}

func (f *fake) BranchDetails(_ context.Context, tenant string) ([]api.BranchDetail, error) {
	return details, f.note("details %s", tenant)
}

func (f *fake) BranchExpire(_ context.Context, tenant, name string, when api.Expiry) (api.Branch, error) {
	return branches[1], f.note("expire %s %q %v", tenant, name, when)
}

func (f *fake) BranchProtect(_ context.Context, tenant, name string, on bool) error {
	return f.note("protect %s %q %v", tenant, name, on)
}

func (f *fake) BranchRename(_ context.Context, tenant, name, to string) error {
	return f.note("rename %s %q %q", tenant, name, to)
}

func (f *fake) BranchReset(_ context.Context, tenant, name, point string, force bool) (api.Replaced, error) {
	return replaced, f.note("reset %s %q %q %v", tenant, name, point, force)
}

func (f *fake) BranchRestore(_ context.Context, tenant, name, point string, force bool) (api.Replaced, error) {
	return replaced, f.note("restore %s %q %q %v", tenant, name, point, force)
}

func (f *fake) BranchPromote(_ context.Context, tenant, name, over string, force bool) (api.Replaced, error) {
	return replaced, f.note("promote %s %q %q %v", tenant, name, over, force)
}

func (f *fake) TagCreate(_ context.Context, tenant, name, point string) (api.Tag, error) {
	return tagA, f.note("tag %s %q %q", tenant, name, point)
}

func (f *fake) TagList(_ context.Context, tenant string) ([]api.Tag, error) {
	return []api.Tag{tagA}, f.note("tags %s", tenant)
}

func (f *fake) TagDelete(_ context.Context, tenant, name string) error {
	return f.note("untag %s %q", tenant, name)
}

func (f *fake) DiskUsage(_ context.Context, tenant string) ([]api.Usage, error) {
	return usage, f.note("du %s", tenant)
}

// sameJSON compares what two values are as JSON: times may be in different zones.
func sameJSON(t *testing.T, got, want any) {
	t.Helper()
	a, aerr := json.Marshal(got)
	b, berr := json.Marshal(want)
	if string(a) != string(b) || aerr != nil || berr != nil {
		t.Errorf("got  %s %v\nwant %s %v", a, aerr, b, berr)
	}
}

// lifeIsTheService is the part of TestClientIsTheService that is about the life of branches.
func lifeIsTheService(t *testing.T, f *fake, c *pageserver.Client) {
	t.Helper()
	ctx := t.Context()
	arrived := func(want string) {
		t.Helper()
		equal(t, f.last(), want)
	}
	sameJSON(t, must(c.BranchDetails(ctx, tenantA))(t), details)
	must(c.BranchExpire(ctx, tenantA, "dev", api.Expiry{After: 36 * time.Hour}))(t)
	arrived("expire " + tenantA + ` "dev" 36h0m0s`)
	must(c.BranchExpire(ctx, tenantA, "dev", api.Expiry{}))(t)
	arrived("expire " + tenantA + ` "dev" never`)
	at := time.Now().Add(time.Hour).UTC()
	must(c.BranchExpire(ctx, tenantA, "dev", api.Expiry{At: at}))(t)
	arrived("expire " + tenantA + ` "dev" ` + at.Format(time.RFC3339Nano))
	must(0, c.BranchProtect(ctx, tenantA, "dev", false))(t)
	arrived("protect " + tenantA + ` "dev" false`)
	must(0, c.BranchProtect(ctx, tenantA, "dev", true))(t)
	arrived("protect " + tenantA + ` "dev" true`)
	must(0, c.BranchRename(ctx, tenantA, "dev", "it's"))(t)
	arrived("rename " + tenantA + ` "dev" "it's"`)
	sameJSON(t, must(c.BranchReset(ctx, tenantA, "dev", "", true))(t), replaced)
	arrived("reset " + tenantA + ` "dev" "" true`)
	must(c.BranchReset(ctx, tenantA, "dev", "main@-1h", false))(t)
	arrived("reset " + tenantA + ` "dev" "main@-1h" false`)
	sameJSON(t, must(c.BranchRestore(ctx, tenantA, "main", "@-10m", true))(t), replaced)
	arrived("restore " + tenantA + ` "main" "@-10m" true`)
	sameJSON(t, must(c.BranchPromote(ctx, tenantA, "dev", "", false))(t), replaced)
	arrived("promote " + tenantA + ` "dev" "" false`)
	sameJSON(t, must(c.TagCreate(ctx, tenantA, "v42", "main"))(t), tagA)
	arrived("tag " + tenantA + ` "v42" "main"`)
	sameJSON(t, must(c.TagList(ctx, tenantA))(t), []api.Tag{tagA})
	must(0, c.TagDelete(ctx, tenantA, "v42"))(t)
	arrived("untag " + tenantA + ` "v42"`)
	sameJSON(t, must(c.DiskUsage(ctx, tenantA))(t), usage)
}
