package integration

import (
	"encoding/json"
	"os/exec"
)

// clientCommand is a program of the PostgreSQL installation, in an environment without PG* variables.
func clientCommand(name string, args ...string) *exec.Cmd {
	return exec.Command(program(name), args...)
}

// branchObject is a branch as the page server's JSON has it.
type branchObject struct {
	Name           string  `json:"name"`
	TimelineID     string  `json:"timeline_id"`
	LatestValidLSN string  `json:"latest_valid_lsn"`
	AncestorID     *string `json:"ancestor_id"`
	AncestorLSN    *string `json:"ancestor_lsn"`
}

// branches gives a tenant's branches, by `zenith branch -o json`.
func (s *site) branches(tenant string) []branchObject {
	s.t.Helper()
	var list []branchObject
	if err := json.Unmarshal([]byte(s.ok("branch", "-o", "json", "--tenantid", tenant)), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}
