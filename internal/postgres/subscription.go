package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Where columns lie in the rows of pg_subscription (catalog/pg_subscription.h). PostgreSQL 15 put subskiplsn
// in front of the name; later versions begin as 15 does.
const (
	subName14, subEnabled14 = 8, 76
	subName15, subEnabled15 = 16, 84
)

// enabledSubscriptions gives the names of the subscriptions for which a server on the data directory would
// start apply workers. It reads the shared catalogs, as FindLogin does; of a directory without them it gives none.
func enabledSubscriptions(files DataFiles) (list []string, err error) {
	version, err := files.ReadFile("PG_VERSION")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name, enabled := subName15, subEnabled15
	if strings.TrimSpace(string(version)) == "14" {
		name, enabled = subName14, subEnabled14
	}
	c := newSharedCatalogs(files)
	rows, err := c.rows(subscriptionRelation, enabled+1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find subscriptions: %w", err)
	}
	for _, r := range rows {
		if r[enabled] != 0 {
			list = append(list, r.Name(name))
		}
	}
	slices.Sort(list)
	return list, nil
}
