package tenants

import (
	"context"
	"errors"
	"math"
	"testing"
)

func TestWaitRoom(t *testing.T) {
	if waited, err := waitRoom(t.Context(), t.TempDir(), 1); waited || err != nil {
		t.Errorf("with room: %v, %v", waited, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if waited, err := waitRoom(ctx, t.TempDir(), math.MaxInt64); !waited || !errors.Is(err, context.Canceled) {
		t.Errorf("without: %v, %v", waited, err)
	}
}
