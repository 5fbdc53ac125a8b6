package pageserver

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Pages is api.Service's. The stream has a connection of its own, up to its Close.
func (c *Client) Pages(ctx context.Context, tenant, branch string) (api.PageSource, error) {
	own, err := c.target.Dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &pageClient{c: own}
	query, err := pagestreamVerb.query(branchArgs{tenant, branch})
	if err == nil {
		err = s.open(ctx, query)
	}
	if err != nil {
		own.Close()
		return nil, err
	}
	return s, nil
}

// pageClient is the client's end of a pagestream.
type pageClient struct{ c *Client }

func (s *pageClient) open(ctx context.Context, query string) error {
	return s.within(ctx, func() error {
		if err := s.c.fe.Send(&pgproto3.Query{String: query}); err != nil {
			return err
		}
		msg, err := s.c.receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return errorOf(msg)
		}
		return api.Errorf(api.ErrProtocol, "pagestream: unexpected message %T", msg)
	})
}

// within runs do, whose reading and writing end with ctx; then the stream is of no more use.
func (s *pageClient) within(ctx context.Context, do func() error) error {
	stop := context.AfterFunc(ctx, func() { s.c.nc.SetDeadline(time.Unix(1, 0)) })
	err := do()
	if !stop() && err != nil {
		return ctx.Err()
	}
	return err
}

// Close ends the stream and its connection.
func (s *pageClient) Close() error { return s.c.Close() }

// Size is PageSource's.
func (s *pageClient) Size(ctx context.Context, rel pg.RelFork, lsn pg.LSN) (n pg.BlockNumber, exists bool, err error) {
	reply, err := s.request(ctx, pageRequest{tag: pageNBlocks, BufferTag: rel.Tag(0), lsn: lsn}, sizeofPageReply)
	if err != nil {
		return 0, false, err
	}
	return pg.BlockNumber(binary.BigEndian.Uint32(reply[2:])), reply[1] == 1, nil
}

// ReadPage is PageSource's.
func (s *pageClient) ReadPage(ctx context.Context, tag pg.BufferTag, lsn pg.LSN, dst pg.Page) error {
	reply, err := s.request(ctx, pageRequest{tag: pageRead, BufferTag: tag, lsn: lsn}, sizeofPageReply+pg.BlockSize)
	if err != nil {
		return err
	}
	copy(dst, reply[sizeofPageReply:])
	return nil
}

// request sends a request and gives its reply, which is size bytes long.
func (s *pageClient) request(ctx context.Context, req pageRequest, size int) (reply []byte, err error) {
	err = s.within(ctx, func() error {
		if err := s.c.fe.Send(&pgproto3.CopyData{Data: req.append(nil)}); err != nil {
			return err
		}
		msg, err := s.c.receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return errorOf(msg)
		case *pgproto3.CopyData:
			reply, err = checkPageReply(msg.Data, req.tag, size)
			return err
		}
		return api.Errorf(api.ErrProtocol, "pagestream: unexpected message %T", msg)
	})
	return reply, err
}

func checkPageReply(data []byte, tag byte, size int) ([]byte, error) {
	switch {
	case len(data) > 0 && data[0] == replyError:
		return nil, &api.Error{Kind: errServer, Msg: string(data[1:])}
	case len(data) != size || data[0] != replyTag+tag:
		return nil, api.Errorf(api.ErrProtocol, "pagestream: bad reply of %d bytes to request %d", len(data), tag)
	}
	return data, nil
}
