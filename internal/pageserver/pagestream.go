package pageserver

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// The tags of page requests and replies.
const (
	pageExists  = 0
	pageNBlocks = 1
	pageRead    = 2

	replyTag   = 100 // + the request's tag
	replyError = 103
)

// pageRequest is a message of pagestream: 26 bytes, big endian.
type pageRequest struct {
	tag byte
	pg.BufferTag
	lsn pg.LSN
}

const sizeofPageRequest = 1 + 4 + 4 + 4 + 1 + 4 + 8

func parsePageRequest(b []byte) (pageRequest, error) {
	if len(b) != sizeofPageRequest {
		return pageRequest{}, api.Errorf(api.ErrBadArgument, "page request of %d bytes, want %d", len(b), sizeofPageRequest)
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	var r pageRequest
	r.tag = b[0]
	r.SpcOID, r.DBOID, r.RelNumber = pg.OID(u32(1)), pg.OID(u32(5)), pg.OID(u32(9))
	r.Fork = pg.ForkNumber(b[13])
	r.Block = pg.BlockNumber(u32(14))
	r.lsn = pg.LSN(binary.BigEndian.Uint64(b[18:]))
	if r.tag > pageRead || r.Fork > pg.MaxFork {
		return r, api.Errorf(api.ErrBadArgument, "page request with tag %d, fork %d", r.tag, b[13])
	}
	return r, nil
}

func (r pageRequest) append(b []byte) []byte {
	b = append(b, r.tag)
	for _, v := range []uint32{uint32(r.SpcOID), uint32(r.DBOID), uint32(r.RelNumber)} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, byte(r.Fork))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Block))
	return binary.BigEndian.AppendUint64(b, uint64(r.lsn))
}

// sizeofPageReply is what stands before the page: tag, ok, nblocks.
const sizeofPageReply = 1 + 1 + 4

var pagestreamVerb = plain[branchArgs]{
	verb: verb{name: "pagestream", role: access.Reader, gives: true, tag: copyTag, reply: replyBoth, reads: true,
		help: "answers page requests over a CopyBoth: whether a relation exists, how many blocks it has, a block"},
	do: answerPages,
}

// answerPages answers page requests until the client ends the copy. A request that fails is
// answered by an error and the stream goes on.
func answerPages(ctx context.Context, c *call, a branchArgs) error {
	src, err := c.svc.Pages(ctx, a.Tenant, a.Branch)
	if err != nil {
		return err
	}
	defer src.Close()
	c.reply.copying = true
	if err := c.send(&pgproto3.CopyBothResponse{OverallFormat: formatBinary}); err != nil {
		return err
	}
	defer c.wakeAtEnd(ctx)()
	page := make(pg.Page, pg.BlockSize)
	for {
		data, err := c.receiveCopy(ctx)
		if err != nil || data == nil {
			return err
		}
		if err := c.answerPage(ctx, src, data, page); err != nil {
			return err
		}
	}
}

// receiveCopy gives the data of the next CopyData, nil at CopyDone.
func (c *call) receiveCopy(ctx context.Context) ([]byte, error) {
	for {
		if err := c.flushIfIdle(); err != nil {
			return nil, err
		}
		c.active.Store(time.Now().UnixNano())
		msg, err := receiveFrom(c.be)
		c.active.Store(0)
		if why := c.ending.Load(); why != nil {
			c.broken = *why
			return nil, c.broken
		}
		if err != nil && ctx.Err() == nil {
			c.broken = err
		}
		if err != nil {
			return nil, err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			if msg.Data == nil {
				return []byte{}, nil
			}
			return msg.Data, nil
		case *pgproto3.CopyDone:
			return nil, nil
		case *pgproto3.CopyFail:
			return nil, api.Errorf(api.ErrTimeout, "COPY failed on the client's side: %s", api.Clip(msg.Message))
		case *pgproto3.Sync, *pgproto3.Flush: // belong to the Execute that began the copy
		case *pgproto3.Terminate:
			c.broken = errCancelled
			return nil, c.broken
		default:
			c.broken = api.Errorf(api.ErrProtocol, "unexpected message %T during COPY", msg)
			return nil, c.broken
		}
	}
}

// answerPage sends the reply to one request.
func (c *call) answerPage(ctx context.Context, src api.PageSource, data []byte, page pg.Page) error {
	req, err := parsePageRequest(data)
	if err != nil {
		return c.pageError(err)
	}
	if req.tag == pageRead {
		if err := src.ReadPage(ctx, req.BufferTag, req.lsn, page); err != nil {
			return c.pageError(err)
		}
		return c.sendCopyData(pageReply(pageRead, true, 0), page)
	}
	n, exists, err := src.Size(ctx, req.RelFork, req.lsn)
	if err != nil {
		return c.pageError(err)
	}
	return c.sendCopyData(pageReply(req.tag, exists, n))
}

func pageReply(tag byte, ok bool, n pg.BlockNumber) []byte {
	b := []byte{replyTag + tag, 0}
	if ok {
		b[1] = 1
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func (c *call) pageError(err error) error {
	return c.sendCopyData([]byte{replyError}, []byte(strings.ReplaceAll(err.Error(), "\n", "; ")))
}
