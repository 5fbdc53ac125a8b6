package pageserver

import (
	"encoding/binary"
	"strconv"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
)

// prepared is a statement that Parse has understood.
type prepared struct {
	cmd    *verb // nil: an empty query
	st     statement
	size   int      // of the query, in bytes
	params []uint32 // the parameters' types
}

// portal is a prepared statement with its arguments.
type portal struct {
	*prepared
	args    []string
	size    int // of args, in bytes
	formats []int16
	held    *heldRows // once it was executed for a part of its rows
	done    bool
}

// Bounds of what a client may leave with us.
const (
	maxPrepared = 1000     // statements, and as many portals
	maxHeld     = 64 << 20 // bytes of one result that is fetched in pieces
)

// extended answers a message of the extended protocol. After an error everything up to
// the next Sync is passed over.
func (c *conn) extended(msg pgproto3.FrontendMessage) error {
	if c.skipToSync {
		return nil
	}
	err := c.extendedMessage(msg)
	if c.broken != nil {
		return c.broken
	}
	if err == nil {
		return nil
	}
	c.skipToSync = true
	return c.sendError("ERROR", err)
}

func (c *conn) extendedMessage(msg pgproto3.FrontendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.Parse:
		return c.parse(msg)
	case *pgproto3.Bind:
		return c.bind(msg)
	case *pgproto3.Describe:
		return c.describe(msg)
	case *pgproto3.Execute:
		return c.execute(msg)
	case *pgproto3.Close:
		return c.closeObject(msg)
	}
	return api.Errorf(api.ErrProtocol, "unexpected message %T", msg)
}

func (c *conn) parse(msg *pgproto3.Parse) error {
	if _, taken := c.prepared[msg.Name]; taken && msg.Name != "" {
		return api.Errorf(api.ErrExists, "prepared statement %q already exists", msg.Name)
	}
	if len(c.prepared) >= maxPrepared {
		return api.Errorf(api.ErrNotAllowed, "more than %d prepared statements", maxPrepared)
	}
	p, err := prepare(msg.Query, msg.ParameterOIDs)
	if err != nil {
		return err
	}
	p.size = len(msg.Query) + 4*len(p.params)
	c.dropPrepared(msg.Name)
	if err := c.keep(p.size); err != nil {
		return err
	}
	c.prepared[msg.Name] = p
	return c.send(&pgproto3.ParseComplete{})
}

// prepare understands a query. A parameter is of the type that the client says, or text.
func prepare(query string, types []uint32) (*prepared, error) {
	statements, err := parseStatements(query)
	if err != nil {
		return nil, err
	}
	switch len(statements) {
	case 0:
		return &prepared{}, nil
	case 1:
	default:
		return nil, api.Errorf(api.ErrSyntax, "cannot insert multiple commands into a prepared statement")
	}
	p := &prepared{st: statements[0]}
	if p.cmd, err = findVerb(p.st); err != nil {
		return nil, err
	}
	p.params = make([]uint32, p.st.params())
	for i := range p.params {
		p.params[i] = uint32(typeText)
		if i < len(types) && types[i] != 0 {
			p.params[i] = types[i]
		}
	}
	return p, nil
}

func (c *conn) bind(msg *pgproto3.Bind) error {
	p, found := c.prepared[msg.PreparedStatement]
	if !found {
		return api.Errorf(api.ErrNotFound, "prepared statement %q does not exist", msg.PreparedStatement)
	}
	if _, taken := c.portals[msg.DestinationPortal]; taken && msg.DestinationPortal != "" {
		return api.Errorf(api.ErrExists, "portal %q already exists", msg.DestinationPortal)
	}
	if len(c.portals) >= maxPrepared {
		return api.Errorf(api.ErrNotAllowed, "more than %d portals", maxPrepared)
	}
	params, err := p.decodeParams(msg)
	if err != nil {
		return err
	}
	args, err := p.st.args(params)
	if err != nil {
		return err
	}
	for _, f := range msg.ResultFormatCodes {
		if f != formatText && f != formatBinary {
			return api.Errorf(api.ErrBadArgument, "result format %d", f)
		}
	}
	size := 2 * len(msg.ResultFormatCodes)
	for _, a := range args {
		size += len(a)
	}
	c.dropPortal(msg.DestinationPortal)
	if err := c.keep(size); err != nil {
		return err
	}
	c.portals[msg.DestinationPortal] = &portal{prepared: p, args: args, size: size, formats: msg.ResultFormatCodes}
	return c.send(&pgproto3.BindComplete{})
}

// decodeParams gives the parameters as text.
func (p *prepared) decodeParams(msg *pgproto3.Bind) ([]string, error) {
	if len(msg.Parameters) != len(p.params) {
		return nil, api.Errorf(api.ErrProtocol, "bind supplies %d parameters, the statement has %d", len(msg.Parameters), len(p.params))
	}
	out := make([]string, len(p.params))
	for i, raw := range msg.Parameters {
		switch {
		case raw == nil:
			return nil, api.Errorf(api.ErrBadArgument, "parameter $%d is null", i+1)
		case formatOf(msg.ParameterFormatCodes, i) == formatText:
			out[i] = string(raw)
		default:
			var err error
			if out[i], err = binaryParam(raw, typeOID(p.params[i])); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// binaryParam reads a parameter in its type's binary format.
func binaryParam(raw []byte, typ typeOID) (string, error) {
	switch {
	case typ == typeInt4 && len(raw) == 4:
		return strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(raw))), 10), nil
	case typ == typeInt8 && len(raw) == 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(raw)), 10), nil
	case typ == typeText || typ == typeVarchar || typ == typeName || typ == typeUnknown:
		return string(raw), nil
	}
	return "", api.Errorf(api.ErrBadArgument, "binary parameter of type %d and %d bytes", typ, len(raw))
}

func (c *conn) describe(msg *pgproto3.Describe) error {
	if msg.ObjectType == 'P' {
		p, err := c.portal(msg.Name)
		if err != nil {
			return err
		}
		return c.describeRows(p.prepared, p.formats)
	}
	p, found := c.prepared[msg.Name]
	if !found {
		return api.Errorf(api.ErrNotFound, "prepared statement %q does not exist", msg.Name)
	}
	if err := c.send(&pgproto3.ParameterDescription{ParameterOIDs: p.params}); err != nil {
		return err
	}
	return c.describeRows(p, nil)
}

func (c *conn) describeRows(p *prepared, formats []int16) error {
	if p.cmd == nil || len(p.cmd.columns()) == 0 {
		return c.send(&pgproto3.NoData{})
	}
	return c.send(rowDescription(p.cmd.columns(), formats))
}

func (c *conn) portal(name string) (*portal, error) {
	p, found := c.portals[name]
	if !found {
		return nil, api.Errorf(api.ErrNotFound, "portal %q does not exist", name)
	}
	return p, nil
}

func (c *conn) execute(msg *pgproto3.Execute) error {
	p, err := c.portal(msg.Portal)
	if err != nil {
		return err
	}
	switch {
	case p.cmd == nil:
		return c.send(&pgproto3.EmptyQueryResponse{})
	case p.held != nil:
		return c.executeHeld(p, msg.MaxRows)
	case p.done:
		return api.Errorf(api.ErrNotAllowed, "portal %q cannot be run again", msg.Portal)
	}
	p.done = true
	r := &reply{c: c, cols: p.cmd.columns(), formats: p.formats, described: true}
	if msg.MaxRows > 0 {
		p.held = &heldRows{keep: c.keep}
		r.held = p.held
	}
	if err := c.run(p.cmd, p.args[1:], r); err != nil {
		return err
	}
	if p.held != nil {
		return c.executeHeld(p, msg.MaxRows)
	}
	return r.finish(p.cmd.completion())
}

// executeHeld sends the next rows of a portal that is fetched in pieces.
func (c *conn) executeHeld(p *portal, maxRows uint32) error {
	r := &reply{c: c, cols: p.cmd.columns(), described: true}
	for _, row := range p.held.take(int(maxRows)) {
		r.rows++
		if err := c.send(row); err != nil {
			return err
		}
	}
	if len(p.held.rows) > 0 {
		return c.send(&pgproto3.PortalSuspended{})
	}
	return r.finish(p.cmd.completion())
}

func (c *conn) closeObject(msg *pgproto3.Close) error {
	if msg.ObjectType == 'P' {
		c.dropPortal(msg.Name)
	} else {
		c.dropPrepared(msg.Name)
	}
	return c.send(&pgproto3.CloseComplete{})
}

// dropPrepared forgets a prepared statement, if there is one of that name.
func (c *conn) dropPrepared(name string) {
	if p, there := c.prepared[name]; there {
		c.letGo(p.size)
		delete(c.prepared, name)
	}
}

// dropPortal forgets a portal, if there is one of that name, and the rest of its result.
func (c *conn) dropPortal(name string) {
	p, there := c.portals[name]
	if !there {
		return
	}
	c.letGo(p.size)
	if p.held != nil {
		c.letGo(p.held.size)
	}
	delete(c.portals, name)
}

// dropPortals forgets all portals: each lives as long as its transaction, and there are none.
func (c *conn) dropPortals() {
	for name := range c.portals {
		c.dropPortal(name)
	}
}

// heldRows are the rows of a command that ran to its end while the client wants them in pieces.
type heldRows struct {
	rows []*pgproto3.DataRow
	size int // of all that there were, in bytes
	keep func(n int) error
}

func (h *heldRows) add(row *pgproto3.DataRow) error {
	size := 64 * (1 + len(row.Values))
	for _, v := range row.Values {
		size += len(v)
	}
	if h.size+size > maxHeld {
		return api.Errorf(errTooMuch, "result of more than %d MiB cannot be fetched in pieces", maxHeld>>20)
	}
	if err := h.keep(size); err != nil {
		return err
	}
	h.size += size
	h.rows = append(h.rows, row)
	return nil
}

// take removes the first n rows; 0 means all.
func (h *heldRows) take(n int) []*pgproto3.DataRow {
	if n == 0 || n > len(h.rows) {
		n = len(h.rows)
	}
	rows := h.rows[:n]
	h.rows = h.rows[n:]
	return rows
}
