package receiver

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/conninfo"
)

// Checkpoint has the server whose unix socket is in the directory socket write a checkpoint now (CHECKPOINT), and
// returns when it has. This process connects as itself: the server lets its owner's account in by peer.
func Checkpoint(ctx context.Context, socket string, port int, user, database string) error {
	var info conninfo.Info
	info.Set("host", socket)
	info.Set("port", strconv.Itoa(port))
	info.Set("user", user)
	info.Set("dbname", database)
	cfg, err := config(info)
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	delete(cfg.RuntimeParams, "replication") // a sender of physical replication takes no SQL
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", connectError(err))
	}
	defer pc.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was asked for is done, or failed
	if _, err := pc.Exec(ctx, "CHECKPOINT").ReadAll(); err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	return nil
}
