package pageserver

import (
	"context"

	"zenith/internal/access"
	"zenith/internal/api"
)

// receiverVerbs are about WAL receivers.
var receiverVerbs = group{"WAL receivers", []aVerb{&callMeMaybeVerb, &receiveSetVerb, &receiveStopVerb, &receiveListVerb}}

type branchArgs struct {
	Tenant string `arg:"TENANT"`
	Branch string `arg:"BRANCH"`
}

type receiveStartArgs struct {
	Tenant   string `arg:"TENANT"`
	Branch   string `arg:"BRANCH"`
	ConnInfo string `arg:"CONNINFO"`
}

var callMeMaybeVerb = plain[receiveStartArgs]{
	verb: verb{name: "callmemaybe", role: access.Writer, help: "starts a WAL receiver: what the server at CONNINFO writes goes into the branch"},
	do: func(ctx context.Context, c *call, a receiveStartArgs) error {
		return c.svc.ReceiveStart(ctx, a.Tenant, a.Branch, verified(a.ConnInfo))
	},
}

// ReceiveStart is api.Service's.
func (c *Client) ReceiveStart(ctx context.Context, tenant, branch, conninfo string) error {
	return callMeMaybeVerb.call(ctx, c, nil, receiveStartArgs{tenant, branch, conninfo})
}

var receiveSetVerb = plain[receiveStartArgs]{
	verb: verb{name: "receive_set", role: access.Writer, help: "has a branch's WAL receiver go on at CONNINFO: the server has moved, or another one took its place"},
	do: func(ctx context.Context, c *call, a receiveStartArgs) error {
		return c.svc.ReceiveSet(ctx, a.Tenant, a.Branch, verified(a.ConnInfo))
	},
}

// ReceiveSet is api.Service's.
func (c *Client) ReceiveSet(ctx context.Context, tenant, branch, conninfo string) error {
	return receiveSetVerb.call(ctx, c, nil, receiveStartArgs{tenant, branch, conninfo})
}

var receiveStopVerb = plain[branchArgs]{
	verb: verb{name: "receive_stop", role: access.Writer, help: "ends a branch's WAL receiver"},
	do: func(ctx context.Context, c *call, a branchArgs) error {
		return c.svc.ReceiveStop(ctx, a.Tenant, a.Branch)
	},
}

// ReceiveStop is api.Service's.
func (c *Client) ReceiveStop(ctx context.Context, tenant, branch string) error {
	return receiveStopVerb.call(ctx, c, nil, branchArgs{tenant, branch})
}

var receiveListVerb = list[tenantArgs, api.Receiver]{
	verb: verb{name: "receive_list", role: access.Reader, help: "a tenant's WAL receivers and how far they are"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.Receiver, error) {
		return c.svc.ReceiveList(ctx, a.Tenant)
	},
}

// ReceiveList is api.Service's.
func (c *Client) ReceiveList(ctx context.Context, tenant string) ([]api.Receiver, error) {
	return receiveListVerb.call(ctx, c, tenantArgs{tenant})
}
