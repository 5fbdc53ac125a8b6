package main

import (
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

func TestDrawTree(t *testing.T) {
	branches := []api.Branch{
		{Name: "main", TimelineID: "1"},
		{Name: "dev", TimelineID: "2", AncestorID: new("1"), AncestorLSN: new(pg.LSN(0x1609610))},
		{Name: "dev2", TimelineID: "3", AncestorID: new("2"), AncestorLSN: new(pg.LSN(0x1700000))},
		{Name: "dev3", TimelineID: "4", AncestorID: new("3"), AncestorLSN: new(pg.LSN(0x1700008))},
		{Name: "test", TimelineID: "5", AncestorID: new("1"), AncestorLSN: new(pg.LSN(0x1800000))},
		{Name: "test2", TimelineID: "6", AncestorID: new("5"), AncestorLSN: new(pg.LSN(0x1800008))},
		{Name: "lost", TimelineID: "7", AncestorID: new("99"), AncestorLSN: new(pg.LSN(0x1800000))},
	}
	want := ` main
 ┣━ @0/1609610: dev
 ┃  ┗━ @0/1700000: dev2
 ┃     ┗━ @0/1700008: dev3
 ┗━ @0/1800000: test
    ┗━ @0/1800008: test2
 lost
`
	var b strings.Builder
	if err := drawTree(&b, branches); err != nil || b.String() != want {
		t.Errorf("got %v\n%swant\n%s", err, b.String(), want)
	}
}
