package pg

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// LSN is a position in the WAL: a byte offset, PostgreSQL's XLogRecPtr. Zero is
// InvalidXLogRecPtr. A page carries the LSN of the end of the last record that
// changed it.
type LSN uint64

// ParseLSN reads the three forms in which people write an LSN: 0/16B3748,
// 0_16B3748 (where a slash cannot stand, as in a path) and 16 hex digits.
func ParseLSN(s string) (LSN, error) {
	hi, lo, found := strings.Cut(s, "/")
	if !found {
		hi, lo, found = strings.Cut(s, "_")
	}
	if !found {
		if len(s) != 16 {
			return 0, fmt.Errorf("lsn %q: want the form 0/16B3748 or 16 hex digits", s)
		}
		hi, lo = s[:8], s[8:]
	}
	h, errHi := parseHex32(hi)
	l, errLo := parseHex32(lo)
	if errHi != nil || errLo != nil {
		return 0, fmt.Errorf("lsn %q: want the form 0/16B3748 or 16 hex digits", s)
	}
	return LSN(h)<<32 | LSN(l), nil
}

// parseHex32 reads 1 to 8 hex digits and nothing else (ParseUint alone would take a sign or "_").
func parseHex32(s string) (uint32, error) {
	if len(s) == 0 || len(s) > 8 || strings.ContainsAny(s, "+-_") {
		return 0, strconv.ErrSyntax
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err
}

// String gives PostgreSQL's form, 0/16B3748.
func (l LSN) String() string { return string(l.append(nil)) }

// MarshalText gives PostgreSQL's form, so that an LSN in JSON is the string "0/16B3748".
func (l LSN) MarshalText() ([]byte, error) { return l.append(nil), nil }

// UnmarshalText reads what ParseLSN reads.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// append appends PostgreSQL's form to b.
func (l LSN) append(b []byte) []byte {
	b = appendHex32(b, uint32(l>>32))
	b = append(b, '/')
	return appendHex32(b, uint32(l))
}

// appendHex32 appends v in upper-case hex digits, as printf's %X.
func appendHex32(b []byte, v uint32) []byte {
	const digits = "0123456789ABCDEF"
	shift := max(bits.Len32(v)-1, 0) / 4 * 4
	for ; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&0xF])
	}
	return b
}

// PathString gives the form used in paths: 16 hex digits.
func (l LSN) PathString() string { return fmt.Sprintf("%016X", uint64(l)) }

// Align is MAXALIGN of an LSN: records start and end on 8-byte boundaries.
func (l LSN) Align() LSN { return (l + 7) &^ 7 }
