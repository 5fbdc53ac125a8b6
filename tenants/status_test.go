package tenants

import (
	"strconv"
	"testing"
)

// TestStatusCounts: the rows of the status that are numbers are the ones that clients take for numbers.
func TestStatusCounts(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	rows, err := f.Status(t.Context())
	if err != nil || len(rows) < 10 {
		t.Fatalf("%v, %v", rows, err)
	}
	for _, r := range rows {
		n, err := strconv.Atoi(r.Value)
		if got, ok := r.Count(); ok != (err == nil) || ok && got != int64(n) {
			t.Errorf("%s is %q: %d, %t as a number", r.Name, r.Value, got, ok)
		}
	}
}
