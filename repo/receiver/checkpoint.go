package receiver

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/conninfo"
)

// Local is a server on this machine, reached through its unix socket. This process connects as itself: the server lets
// its owner's account in by peer.
type Local struct {
	Socket         string // the directory of the socket
	Port           int
	User, Database string
}

// Checkpoint has the server write a checkpoint now (CHECKPOINT), and returns when it has.
func (l Local) Checkpoint(ctx context.Context) error {
	if _, err := l.ask(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	return nil
}

// countClients counts who is connected besides the one that asks: clients, and those that stream WAL.
const countClients = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_catalog.pg_backend_pid()"

// Clients says how many clients are connected to the server.
func (l Local) Clients(ctx context.Context) (n int, err error) {
	res, err := l.ask(ctx, countClients)
	if err == nil && (len(res) != 1 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) != 1) {
		err = fmt.Errorf("%d results", len(res))
	}
	if err == nil {
		n, err = strconv.Atoi(string(res[0].Rows[0][0]))
	}
	if err != nil {
		return 0, fmt.Errorf("count clients: %w", err)
	}
	return n, nil
}

// ask has the server do one statement.
func (l Local) ask(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	var info conninfo.Info
	info.Set("host", l.Socket)
	info.Set("port", strconv.Itoa(l.Port))
	info.Set("user", l.User)
	info.Set("dbname", l.Database)
	cfg, err := config(info)
	if err != nil {
		return nil, err
	}
	delete(cfg.RuntimeParams, "replication") // a sender of physical replication takes no SQL
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(err)
	}
	defer pc.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was asked for is done, or failed
	return pc.Exec(ctx, sql).ReadAll()
}
