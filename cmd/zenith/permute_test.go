package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPermute(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"status", "status"},
		{"-q -D dir status", "-q -D dir status"},
		{"status -D dir -q", "-D dir -q status"},
		{"--workdir=dir status", "--workdir=dir status"},
		{"mount main /dir --scratch", "mount --scratch -- main /dir"},
		{"mount --scratch main /dir", "mount --scratch -- main /dir"},
		{"mount list -o json", "mount list -o json"},
		{"mount /list", "mount -- /list"},
		{"branch dev main@-15m --tenantid abc", "branch --tenantid abc -- dev main@-15m"},
		{"branch delete dev", "branch delete -- dev"},
		{"branch -- delete main", "branch -- delete main"},
		{"pg start main --port 5 --set a=b --set=c=d", "pg start --port 5 --set a=b --set=c=d -- main"},
		{"pg stop main -m immediate --destroy", "pg stop -m immediate --destroy -- main"},
		{"pg exec main@-10m -- pg_dump -t orders", "pg exec -- main@-10m pg_dump -t orders"},
		{"pg exec main pg_dump -t orders -- x", "pg exec -- main pg_dump -t orders -- x"},
		{"pg exec --tenantid abc main -- sh -c 'x -- y'", "pg exec --tenantid abc -- main sh -c 'x -- y'"},
		{"export main --tar -", "export --tar - -- main"},
		{"help pg start", "pg start --help"},
		{"pg start --help", "pg start --help"},
		{"-h", "-h"},
		{"export main --unknown x", "export --unknown -- main x"},
	}
	app := newApp(&environ{out: io.Discard, err: io.Discard})
	for _, tt := range tests {
		got, err := permute(app, strings.Fields(tt.in))
		if err != nil || !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, strings.Fields(tt.want))
		}
	}
	for _, in := range []string{"frobnicate", "--frobnicate status", "-D", "status -D", "-x"} {
		if got, err := permute(app, strings.Fields(in)); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %q, %v, want a usage error", in, got, err)
		}
	}
}
