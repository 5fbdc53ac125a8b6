package receiver

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"zenith/internal/pg"
)

// conn is a replication connection. One goroutine reads; any may send status replies.
type conn struct {
	pc *pgconn.PgConn
	mu sync.Mutex // held while a reply is written
}

// closeTimeout bounds how long close waits until the server is told that the connection ends.
const closeTimeout = 2 * time.Second

func (c *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.pc.Close(ctx) // with or without an error, the connection is of no more use
}

// send sends a command. receive gives the messages of its answer.
func (c *conn) send(command string) error {
	c.pc.Frontend().Send(&pgproto3.Query{String: command})
	return c.pc.Frontend().Flush()
}

// receive gives the server's next message, which is valid until the next call. An error that the
// server sends is returned as an error.
func (c *conn) receive(ctx context.Context) (pgproto3.BackendMessage, error) {
	msg, err := c.pc.ReceiveMessage(ctx)
	if err != nil {
		return nil, said(err)
	}
	if e, ok := msg.(*pgproto3.ErrorResponse); ok {
		return nil, said(pgconn.ErrorResponseToPgError(e))
	}
	return msg, nil
}

// query runs a command that answers with rows of text.
func (c *conn) query(ctx context.Context, command string) ([][]string, error) {
	if err := c.send(command); err != nil {
		return nil, err
	}
	var rows [][]string
	var failed error
	for {
		msg, err := c.receive(ctx)
		if err != nil && (sqlState(err) == "" || c.pc.IsClosed()) {
			return nil, err
		}
		if err != nil {
			failed = err // ReadyForQuery follows
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			rows = append(rows, texts(m))
		case *pgproto3.ReadyForQuery:
			return rows, failed
		}
	}
}

// texts copies the values of a row, which are valid only as long as the message.
func texts(m *pgproto3.DataRow) []string {
	row := make([]string, len(m.Values))
	for i, v := range m.Values {
		row[i] = string(v)
	}
	return row
}

// stream begins physical replication at from, and returns when the server has agreed.
func (c *conn) stream(ctx context.Context, slot string, from pg.LSN, tli pg.TLI) error {
	command := fmt.Sprintf("START_REPLICATION PHYSICAL %v TIMELINE %d", from, tli)
	if slot != "" {
		command = fmt.Sprintf("START_REPLICATION SLOT %q PHYSICAL %v TIMELINE %d", slot, from, tli)
	}
	if err := c.send(command); err != nil {
		return err
	}
	for {
		msg, err := c.receive(ctx)
		if err != nil {
			return err
		}
		switch msg.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.CommandComplete, *pgproto3.RowDescription:
			return errTimelineEnd // at from
		}
	}
}

// The messages within CopyData.
const (
	msgWAL       = 'w'
	msgKeepalive = 'k'
	msgStatus    = 'r'

	walHeader     = 1 + 8 + 8 + 8
	keepaliveSize = 1 + 8 + 8 + 1
)

// incoming is a message from the server: WAL, or a keepalive.
type incoming struct {
	at    pg.LSN         // of data
	data  []byte         // nil for a keepalive
	end   pg.LSN         // of the server's WAL; of what it has sent, in a keepalive
	sent  pg.TimestampTz // when, by the server's clock
	reply bool           // the server asks for a status update at once
}

func parseIncoming(b []byte) (m incoming, err error) {
	switch {
	case len(b) >= walHeader && b[0] == msgWAL:
		m.at = pg.LSN(binary.BigEndian.Uint64(b[1:]))
		m.end = pg.LSN(binary.BigEndian.Uint64(b[9:]))
		m.sent = pg.TimestampTz(binary.BigEndian.Uint64(b[17:]))
		m.data = b[walHeader:]
	case len(b) == keepaliveSize && b[0] == msgKeepalive:
		m.end = pg.LSN(binary.BigEndian.Uint64(b[1:]))
		m.sent = pg.TimestampTz(binary.BigEndian.Uint64(b[9:]))
		m.reply = b[17] != 0
	default:
		return m, fmt.Errorf("a message of %d bytes: %w", len(b), errProtocol)
	}
	return m, nil
}

// position is up to where a receiver has written, made durable and ingested WAL.
type position struct {
	write, flush, apply pg.LSN
}

// reply sends a standby status update. wantAnswer has the server answer with a keepalive.
func (c *conn) reply(p position, wantAnswer bool) error {
	body := []byte{msgStatus}
	for _, lsn := range [...]pg.LSN{p.write, p.flush, p.apply} {
		body = binary.BigEndian.AppendUint64(body, uint64(lsn))
	}
	body = binary.BigEndian.AppendUint64(body, uint64(pg.TimestampOf(time.Now())))
	if wantAnswer {
		body = append(body, 1)
	} else {
		body = append(body, 0)
	}
	msg, err := (&pgproto3.CopyData{Data: body}).Encode(nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The frontend is not for concurrent use, and belongs to the goroutine that reads.
	_, err = c.pc.Conn().Write(msg)
	return err
}

// ready reads what follows an error, until the server waits for the next command.
func (c *conn) ready(ctx context.Context) error {
	for {
		msg, err := c.receive(ctx)
		if err != nil {
			return err
		}
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			return nil
		}
	}
}
