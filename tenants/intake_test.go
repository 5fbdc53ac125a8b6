package tenants

import (
	"errors"
	"strings"
	"testing"

	"zenith/internal/api"
)

// An offer without a major comes from a page server that knows PostgreSQL 15 only.
func TestOfferSaysWhichPostgreSQL(t *testing.T) {
	m := newManager(t, Config{})
	branches, err := m.BranchList(t.Context(), tenantA)
	if err != nil || len(branches) != 1 {
		t.Fatal(branches, err)
	}
	tn, release, err := m.tenant(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	own := (&pusher{}).offer(tn.repo.Timelines()[0], "main", branches[0].LatestValidLSN)
	if own.Major != 15 {
		t.Errorf("a timeline of PostgreSQL 15 is offered as one of %d", own.Major)
	}
	for _, c := range []struct {
		tenant string
		major  int
		want   error
	}{
		{tenantA, 15, nil},
		{tenantA, 0, nil},
		{tenantA, 99, api.ErrUnsupported},
		{strings.Repeat("b", 32), 99, api.ErrUnsupported}, // which is not there
	} {
		o := own
		o.Major = c.major
		held, err := m.PushOffer(t.Context(), c.tenant, o)
		if !errors.Is(err, c.want) || held.There != (c.want == nil) {
			t.Errorf("a timeline of PostgreSQL %d offered to %s: got %+v, %v; want %v", c.major, c.tenant, held, err, c.want)
		}
		if c.want == nil {
			continue
		}
		if !strings.Contains(err.Error(), "PostgreSQL 99") {
			t.Errorf("%v does not name the version", err)
		}
		if err := m.PushReceive(t.Context(), c.tenant, o, strings.NewReader("")); !errors.Is(err, c.want) {
			t.Errorf("a timeline of PostgreSQL %d sent to %s: got %v, want %v", c.major, c.tenant, err, c.want)
		}
	}
}
