package pageserver

import (
	"context"
	"sync"
	"testing"

	"zenith/internal/access"
	"zenith/internal/api"
)

// slotsOnly is a branch of which there are only the slots: by name, whether each is temporary.
type slotsOnly struct {
	api.ReplicationSource
	api.SlotService
	mu   sync.Mutex
	list map[string]bool
}

func (s *slotsOnly) Replicate(context.Context, string, string) (api.ReplicationSource, error) {
	return s, nil
}

func (s *slotsOnly) Close() error { return nil }

func (s *slotsOnly) Slots() api.SlotService { return s }

func (s *slotsOnly) Create(name string, temporary, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list[name] = temporary
	return nil
}

func (s *slotsOnly) Drop(name string, own bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if temporary, there := s.list[name]; !there || temporary != own {
		return api.Errorf(api.ErrNotFound, "no such slot")
	}
	delete(s.list, name)
	return nil
}

func (s *slotsOnly) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.list[name]
	return there
}

// TestDroppedTemporarySlot: a reader who made a temporary slot and dropped it has no say over a later one of the same name,
// and its leaving does not drop that; of those that it still has, it does.
func TestDroppedTemporarySlot(t *testing.T) {
	for _, temporary := range []bool{false, true} {
		policy, all := principals(t)
		branch := &slotsOnly{list: map[string]bool{}}
		server := New(nothing{}, Options{Replication: branch, Access: policy})
		defer server.Close()
		reader := askOf(t, server, all[0], ownID, true)
		if all[0].Role != access.Reader {
			t.Fatalf("it is a %v", all[0].Role)
		}
		for _, query := range []string{
			"CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL", "DROP_REPLICATION_SLOT s", "CREATE_REPLICATION_SLOT own TEMPORARY PHYSICAL",
		} {
			if state, message := reader.query(query); state != "" {
				t.Fatalf("%s: %s %s", query, state, message)
			}
		}
		branch.Create("s", temporary, false) // another client does
		for _, query := range []string{"DROP_REPLICATION_SLOT s", "START_REPLICATION SLOT s PHYSICAL 0/1000000"} {
			if state, message := reader.query(query); state != "42501" {
				t.Errorf("%s as a reader: %s %s", query, state, message)
			}
		}
		reader.leave()
		if !branch.has("s") || branch.has("own") {
			t.Errorf("temporary %v: after the reader has left there are %v", temporary, branch.list)
		}
	}
}
