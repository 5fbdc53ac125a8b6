package api

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity says how soon somebody must look at a problem.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // something does not work now
	Warning  Severity = "warning"  // something will not, if nobody does anything
)

// Problem is something of a page server that its operator should look at.
type Problem struct {
	Severity Severity
	Tenant   string // that it is about; "": the whole page server
	Text     string // what is wrong, in one line
	Hint     string // the command that shows more, or mends it; "": none does
}

// ProblemRow is the name of the rows of `status` that have a Problem: there may be several, or none.
const ProblemRow = "problem"

// String writes the problem in one line.
func (p Problem) String() string {
	text := string(p.Severity) + ": " + p.Text
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// When a disk is nearly full, and when a branch is late. A receiver that lags by less than both is as busy as its server.
const (
	diskCritical  = 0.02 // free part of the disk
	diskWarning   = 0.10
	lateBytes     = 64 << 20
	lateTime      = 5 * time.Minute
	ingestWarning = 512 << 20 // bytes of WAL that wait to be ingested
)

// Problems lists what is wrong, what is worst first.
func (s *Stats) Problems() (list []Problem) {
	list = append(list, s.Disk.problems(s.Dir)...)
	if s.Replaced {
		list = append(list, Problem{Severity: Warning, Text: "restart needed: the page server runs a program that was replaced", Hint: "zenith restart"})
	}
	for _, t := range s.Open {
		for _, p := range t.problems() {
			p.Tenant = t.ID
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Problem) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return list
}

func (d Disk) problems(dir string) []Problem {
	if d.Size == 0 {
		return nil
	}
	free := float64(d.Free) / float64(d.Size)
	text := fmt.Sprintf("the disk of %s is nearly full: %s of %s are free", dir, SizeText(d.Free), SizeText(d.Size))
	switch hint := "zenith gc --dry-run"; {
	case free < diskCritical:
		return []Problem{{Severity: Critical, Text: text, Hint: hint}}
	case free < diskWarning && d.Free < 10<<30:
		return []Problem{{Severity: Warning, Text: text, Hint: hint}}
	}
	return nil
}

func (t *TenantStats) problems() (list []Problem) {
	add := func(severity Severity, hint, format string, args ...any) {
		list = append(list, Problem{Severity: severity, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	for _, b := range t.Branches {
		switch {
		case b.IngestErr != "":
			add(Critical, "zenith check "+b.Name, "branch %s: what was written cannot be read: %s", b.Name, b.IngestErr)
		case b.Behind > ingestWarning:
			add(Warning, "", "branch %s: %s of WAL wait to be ingested", b.Name, SizeText(int64(b.Behind)))
		}
	}
	for _, c := range t.Computes {
		switch c.Status {
		case ComputeCrashed:
			add(Critical, "zenith pg logs "+c.Name, "postgres %s has crashed", c.Name)
		case ComputeDamaged:
			add(Critical, "zenith pg start "+c.Name, "postgres %s: its settings cannot be read", c.Name)
		}
	}
	for _, o := range t.Outdated {
		add(Warning, "zenith pg restart "+o.Name, "restart needed: postgres %s runs %s, %s is installed", o.Name, o.Runs, o.Installed)
	}
	for _, r := range t.Receivers {
		switch {
		case r.Status != "streaming" && r.LastError != "":
			add(Critical, "zenith receive list", "branch %s does not follow its server: %s", r.Branch, r.LastError)
		case r.LagBytes != nil && *r.LagBytes > lateBytes && time.Duration(*r.LagSeconds)*time.Second > lateTime:
			add(Warning, "zenith receive list", "branch %s is %s and %v behind its server", r.Branch, SizeText(*r.LagBytes), time.Duration(*r.LagSeconds)*time.Second)
		}
	}
	return list
}
