package pageserver

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/jackc/pgproto3/v2"
)

// reply is what a handler answers into: rows, or a copy stream.
type reply struct {
	c         *conn
	cols      []column
	formats   []int16 // of the result columns, from Bind
	described bool    // the client has the row description
	copying   bool    // CopyOut or CopyBoth has begun
	rows      int64
	held      *heldRows // for a portal that is fetched in pieces; else nil
}

// row sends one row; the values go with the command's columns.
func (r *reply) row(values ...any) error {
	if len(values) != len(r.cols) {
		return fmt.Errorf("a row of %d values for %d columns", len(values), len(r.cols))
	}
	msg := &pgproto3.DataRow{Values: make([][]byte, len(values))}
	for i, v := range values {
		var err error
		if msg.Values[i], err = encodeValue(v, r.cols[i].typ, formatOf(r.formats, i)); err != nil {
			return err
		}
	}
	r.rows++
	if r.held != nil {
		return r.held.add(msg)
	}
	if err := r.describe(); err != nil {
		return err
	}
	return r.c.send(msg)
}

// send sends one row, a struct of the shape's type.
func (r *reply) send(shape *rowShape, row any) error {
	values, err := shape.values(row)
	if err != nil {
		return err
	}
	return r.row(values...)
}

// describe sends the row description, once, and not for a command without columns.
func (r *reply) describe() error {
	if r.described || len(r.cols) == 0 {
		return nil
	}
	r.described = true
	return r.c.send(rowDescription(r.cols, r.formats))
}

// finish ends a reply that went well.
func (r *reply) finish(tag string) error {
	if r.copying {
		if err := r.c.send(&pgproto3.CopyDone{}); err != nil {
			return err
		}
		return r.c.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
	}
	if err := r.describe(); err != nil {
		return err
	}
	if len(r.cols) > 0 {
		tag = fmt.Sprintf("SELECT %d", r.rows)
	}
	return r.c.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// copyChunk is the size of a CopyData message and of the write buffer.
const copyChunk = 64 << 10

// copyOut gives a writer whose bytes go to the client as CopyData. The stream begins with
// the first byte, so that what fails before is an ordinary error.
func (r *reply) copyOut() io.Writer { return copyWriter{r} }

type copyWriter struct{ r *reply }

// Write implements io.Writer.
func (w copyWriter) Write(p []byte) (int, error) {
	if err := w.r.beginCopyOut(); err != nil {
		return 0, err
	}
	written := 0
	for len(p) > 0 {
		n := min(len(p), copyChunk)
		if err := w.r.c.sendCopyData(p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// beginCopyOut announces the stream, once.
func (r *reply) beginCopyOut() error {
	if r.copying {
		return nil
	}
	r.copying = true
	return r.c.send(&pgproto3.CopyOutResponse{OverallFormat: formatBinary, ColumnFormatCodes: []uint16{formatBinary}})
}

// sendCopyData buffers a CopyData message. It writes the header itself to spare a copy of
// the payload.
func (c *conn) sendCopyData(parts ...[]byte) error {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	header := binary.BigEndian.AppendUint32([]byte{'d'}, uint32(n))
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if _, err := c.bw.Write(header); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := c.bw.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// lineWriter cuts text into lines.
type lineWriter struct {
	line func(string) error // gets each line
	rest []byte             // a line not yet ended
}

// maxLine bounds a line without end.
const maxLine = 1 << 20

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	start := 0
	for i, b := range p {
		if b != '\n' {
			continue
		}
		line := string(w.rest) + string(p[start:i])
		w.rest = w.rest[:0]
		if err := w.line(line); err != nil {
			return start, err
		}
		start = i + 1
	}
	if len(w.rest)+len(p)-start > maxLine {
		return start, fmt.Errorf("line of more than %d bytes", maxLine)
	}
	w.rest = append(w.rest, p[start:]...)
	return len(p), nil
}

// close sends a last line without its newline.
func (w *lineWriter) close() error {
	if len(w.rest) == 0 {
		return nil
	}
	return w.line(string(w.rest))
}
