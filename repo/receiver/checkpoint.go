package receiver

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Checkpoint has the server whose unix socket is in the directory socket write a checkpoint now (CHECKPOINT), and
// returns when it has. This process connects as itself: the server lets its owner's account in by peer.
func Checkpoint(ctx context.Context, socket string, port uint16, user, database string) (err error) {
	cfg, err := pgconn.ParseConfig("host=" + socketPlaceholder + " sslmode=disable passfile=/dev/null")
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Database, cfg.Password, cfg.Fallbacks = socket, port, user, database, "", nil
	cfg.RuntimeParams = map[string]string{"application_name": usualName}
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

// socketPlaceholder is a host that is parsed as a unix socket's directory; the real one may have any characters.
const socketPlaceholder = "/"
