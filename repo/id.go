package repo

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// TenantID names a tenant.
type TenantID [16]byte

// TimelineID names a timeline: one line of WAL with its page history. It is not
// PostgreSQL's TimeLineID, which is pg.TLI.
type TimelineID [16]byte

// ParseTenantID reads 32 lower-case hex digits.
func ParseTenantID(s string) (TenantID, error) {
	b, err := parseID(s)
	if err != nil {
		return TenantID{}, fmt.Errorf("tenant id %w", err)
	}
	return b, nil
}

// ParseTimelineID reads 32 lower-case hex digits.
func ParseTimelineID(s string) (TimelineID, error) {
	b, err := parseID(s)
	if err != nil {
		return TimelineID{}, fmt.Errorf("timeline id %w", err)
	}
	return b, nil
}

// RandomTenantID makes a new id.
func RandomTenantID() TenantID { return randomID() }

// RandomTimelineID makes a new id.
func RandomTimelineID() TimelineID { return randomID() }

// String gives 32 lower-case hex digits.
func (id TenantID) String() string { return hex.EncodeToString(id[:]) }

// String gives 32 lower-case hex digits.
func (id TimelineID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is unset.
func (id TimelineID) IsZero() bool { return id == TimelineID{} }

func randomID() (id [16]byte) {
	rand.Read(id[:]) // never fails, by its contract
	return id
}

func parseID(s string) (id [16]byte, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("%q: want 32 hex digits: %w", s, ErrInvalid)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return id, fmt.Errorf("%q: want 32 lower-case hex digits: %w", s, ErrInvalid)
		}
	}
	_, err = hex.Decode(id[:], []byte(s))
	return id, err
}
