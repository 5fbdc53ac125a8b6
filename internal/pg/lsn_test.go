package pg_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"zenith/internal/pg"
)

func TestLSNText(t *testing.T) {
	for _, l := range []pg.LSN{0, 1, 0xF, 0x10, 0x16B3748, math.MaxUint32, 1 << 32, 0x16_B374D848, math.MaxUint64} {
		want := fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l))
		if got := l.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		got, err := json.Marshal(struct{ At pg.LSN }{l})
		if text := `{"At":"` + want + `"}`; err != nil || string(got) != text {
			t.Errorf("got %s, %v, want %s", got, err, text)
		}
		var back struct{ At *pg.LSN }
		if err := json.Unmarshal(got, &back); err != nil || back.At == nil || *back.At != l {
			t.Errorf("%s: got %v, %v", got, back.At, err)
		}
	}
	for _, bad := range []string{`"0"`, `"0/16B374G"`, `"1/2/3"`, `""`, `23803720`} {
		if err := json.Unmarshal([]byte(bad), new(pg.LSN)); err == nil {
			t.Errorf("%s was read as an LSN", bad)
		}
	}
}
