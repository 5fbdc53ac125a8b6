package api_test

import (
	"testing"

	"zenith/internal/api"
)

func TestParseRetain(t *testing.T) {
	tests := []struct {
		in, want string // want: the words, "" for an error
	}{
		{"7d", "168h0m0s"}, {"15m", "15m0s"}, {"1h30m", "1h30m0s"}, {"0s", "0B"}, {"0", "0B"}, {"1000B", "1000B"}, {"1000", ""}, {"5", ""}, {"2w", "336h0m0s"}, {"512MB", "536870912B"},
		{"10gb", "10737418240B"}, {"1kB", "1024B"}, {"", ""}, {"x", ""}, {"-1", ""}, {"-5m", ""}, {"9999999999TB", ""}, {"1.5GB", ""}, {"5 GB", ""},
	}
	for _, tt := range tests {
		r, err := api.ParseRetain(tt.in)
		text, _ := r.MarshalText()
		got := string(text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
