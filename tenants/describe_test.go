package tenants

import (
	"testing"

	"zenith/internal/api"
)

// TestDescribeDoesNotWait: a list says what a compute does that is being stopped, and does not wait for that.
func TestDescribeDoesNotWait(t *testing.T) {
	c := &compute{t: &tenant{m: &Manager{}}, name: "main", dir: t.TempDir(), saved: savedCompute{Port: 5433}}
	c.mu.Lock()
	end := c.does(api.ComputeStopping)
	if d := c.describe(); d.Status != api.ComputeStopping || d.Port != 5433 {
		t.Errorf("got %+v", d)
	}
	end()
	c.mu.Unlock()
	if d := c.describe(); d.Status != api.ComputeStopped {
		t.Errorf("got %+v", d)
	}
}
