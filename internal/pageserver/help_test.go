package pageserver_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/pageserver"
)

// TestHelp: a client learns from the page server itself what it can say.
func TestHelp(t *testing.T) {
	w := connect(t, serve(t, newFake(), pageserver.Options{}), nil)
	rows := func(query string) (rows []string) {
		for _, m := range w.query(query) {
			if row, ok := m.(*pgproto3.DataRow); ok {
				rows = append(rows, string(row.Values[0])+": "+string(row.Values[1]))
			}
		}
		return rows
	}
	equal(t, rows("help Branch_Create"), []string{
		"branch_create TENANT NAME POINT [WHEN [OWNER [NOTE]]]: makes a branch that begins at a point: a branch object. WHEN says when nobody needs it any more",
		"TENANT: id of a tenant, 32 hex digits",
		"NAME: name of a branch, or of a postgres as `pg_list` shows it",
		rows("help branch_create")[3],
		"WHEN: how long from now (`2h`, `7d`), a time (`2026-12-01T09:00Z`), or `never`",
		"OWNER: any text: who made the branch, or whom to ask",
		"NOTE: any text",
		"reply: one row: branch_create",
	})
	all := strings.Join(rows("help"), "\n")
	for _, command := range []string{"branch_delete TENANT NAME [force]: ", "help [COMMAND]: ", "status: "} {
		if !strings.Contains("\n"+all, "\n"+command) {
			t.Errorf("help does not list %q, but:\n%s", command, all)
		}
	}
	if got := find[*pgproto3.ErrorResponse](t, w.query("help nonsense")); got.Code != "42704" {
		t.Errorf("help on an unknown command: %s %s", got.Code, got.Message)
	}
}
