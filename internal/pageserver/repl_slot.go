package pageserver

import (
	"context"

	"zenith/internal/api"
)

// maxSlotName is NAMEDATALEN - 1.
const maxSlotName = 63

// checkSlotName is ReplicationSlotValidateName.
func checkSlotName(name string) error {
	if name == "" || len(name) > maxSlotName {
		return api.Errorf(errInvalidName, "replication slot name %q is too short or too long", api.Clip(name))
	}
	for i := range len(name) {
		if c := name[i]; !isDigit(c) && (c < 'a' || c > 'z') && c != '_' {
			return api.Errorf(errInvalidName, "replication slot name %q contains invalid character: "+
				"only lower case letters, numbers, and the underscore character", api.Clip(name))
		}
	}
	return nil
}

// parseCreateSlot reads SLOT [TEMPORARY] PHYSICAL [RESERVE_WAL | (RESERVE_WAL [BOOL])].
func parseCreateSlot(p *replParser, r *replRequest) (err error) {
	if r.slot, err = p.ident(); err != nil {
		return err
	}
	if r.temporary, err = p.word("temporary"); err != nil {
		return err
	}
	if logical, err := p.word("logical"); logical || err != nil {
		return errLogical(err)
	}
	if physical, err := p.word("physical"); !physical || err != nil {
		return orSyntax(p, err)
	}
	if reserve, err := p.word("reserve_wal"); reserve || err != nil {
		r.options = []replOption{{name: "reserve_wal"}}
		return err
	}
	r.options, err = p.options()
	return err
}

func errLogical(err error) error {
	if err != nil {
		return err
	}
	return api.Errorf(api.ErrUnsupported, "logical replication is not supported: connect to a postgres on a mount of the branch")
}

// orSyntax is err, or that something else was expected.
func orSyntax(p *replParser, err error) error {
	if err != nil {
		return err
	}
	return p.errSyntaxAt()
}

func createSlot(_ context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	reserve := false
	for _, o := range r.options {
		if o.name != "reserve_wal" {
			return api.Errorf(api.ErrSyntax, "unrecognized option: %s", api.Clip(o.name))
		}
		var err error
		if reserve, err = o.boolean(); err != nil {
			return err
		}
	}
	if err := checkSlotName(r.slot); err != nil {
		return err
	}
	slots := src.Slots()
	if err := slots.Create(r.slot, r.temporary, reserve); err != nil {
		return err
	}
	if r.temporary {
		c.ownSlots[r.slot] = func() error { return slots.Drop(r.slot, true) }
	}
	return c.reply.row(r.slot, "0/0", nil, nil)
}

// parseDropSlot reads SLOT [WAIT]. WAIT does nothing: a slot that a client streams from is refused at once.
func parseDropSlot(p *replParser, r *replRequest) (err error) {
	if r.slot, err = p.ident(); err != nil {
		return err
	}
	_, err = p.word("wait")
	return err
}

// dropSlot forgets a temporary slot of the connection: the next slot of that name may be somebody else's.
func dropSlot(_ context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	err := src.Slots().Drop(r.slot, c.owns(r.slot))
	if err == nil || isKind(err, api.ErrNotFound) {
		delete(c.ownSlots, r.slot)
	}
	return err
}

// owns reports whether the connection made a temporary slot of that name, and did not drop it.
func (c *conn) owns(slot string) bool {
	_, own := c.ownSlots[slot]
	return own
}

func parseReadSlot(p *replParser, r *replRequest) (err error) {
	r.slot, err = p.ident()
	return err
}

// readSlot gives one row, of NULLs if there is no such slot.
func readSlot(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	restart, err := src.Slots().Get(r.slot)
	if isKind(err, api.ErrNotFound) {
		return c.reply.row(nil, nil, nil)
	}
	if err != nil {
		return err
	}
	if restart == 0 {
		return c.reply.row("physical", nil, nil)
	}
	return c.reply.row("physical", restart.String(), int64(src.History().EndingAt(restart+1)))
}
