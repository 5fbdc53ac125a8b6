package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"zenith/internal/api"
)

// point makes a point as the user wrote it one that the page server understands, wherever that
// is: it gets its branch if that was left out, and a time without a zone gets this machine's, of
// which the user is told. A point that cannot be read stays as it is: the page server says why.
func (e *environ) point(ctx context.Context, s *session, written string) (string, error) {
	p, err := api.ParsePoint(written, time.Now())
	if err != nil || p.Head() {
		return written, nil //nolint:nilerr // the page server has the same reader
	}
	if !strings.Contains(written, "@") { // it may be the name of an old branch
		list, err := s.BranchList(ctx, s.tenant)
		if err != nil {
			return "", err
		}
		for _, b := range list {
			if b.Name == written {
				return written, nil
			}
		}
	}
	if !p.Zoneless {
		return fullPoint(written), nil
	}
	zone, _ := p.Time.Zone()
	fmt.Fprintf(e.err, "zenith: %s is %s (%s, this machine's time zone)\n", written, p, zone)
	return p.String(), nil
}

// fullPoint is what point gives, without a look at the branches and without a word to the user.
func fullPoint(written string) string {
	if p, err := api.ParsePoint(written, time.Now()); err == nil && p.Zoneless {
		return p.String()
	}
	return api.FullPoint(written)
}
