package api_test

import (
	"testing"

	"zenith/internal/api"
)

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 3: "3 B", 1023: "1023 B", 1024: "1.0 KiB", 20362576: "19.4 MiB", 1 << 30: "1.0 GiB", 5<<40 + 1<<39: "5.5 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := api.SizeText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
