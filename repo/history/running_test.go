package history

import (
	"testing"

	"zenith/internal/pg"
)

// TestRunningIsBounded: of a transaction with more subtransactions than a value of the store has room for, it is only known
// that it has begun, also where xids have wrapped around.
func TestRunningIsBounded(t *testing.T) {
	first := pg.TransactionID(1<<32 - maxRunning)
	tr := NewTracker(first)
	last := first
	for i := range pg.TransactionID(2 * maxRunning) {
		if first+i < pg.FirstNormalTransactionID {
			continue
		}
		last = first + i
		of := tr.tally(last)
		of.bytes += 150
		of.of(pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 20000}).Inserted++
	}
	running := tr.Running()
	if len(running) > 100 {
		t.Errorf("it has %d bytes", len(running))
	}
	again, err := Resume(running)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.open) > 0 || !first.Precedes(again.since) || !last.Precedes(again.since) || (last + 1).Precedes(again.since) {
		t.Errorf("%d are open, and those before %d have begun", len(again.open), again.since)
	}
}
