package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// kinds is a load on one table that has an index of each kind: insertions, updates of columns that are indexed
// and of one that is not, deletions, and VACUUM at the same time.
func kinds() load {
	return load{
		name:   "WAL of all index kinds",
		file:   "kinds",
		config: "full_page_writes = on",
		fill: func(p *place, url string) error {
			if _, err := p.sql(url, kindsTable); err != nil {
				return err
			}
			_, err := p.sql(url, kindsVacuum)
			return err
		},
		run: func(p *place, url string) error {
			work, vacuum := filepath.Join(p.dir, "work.sql"), filepath.Join(p.dir, "vacuum.sql")
			for path, text := range map[string]string{work: kindsWork, vacuum: kindsVacuum + ";\n"} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					return err
				}
			}
			_, err := p.pgbench(url, "-f", work+"@500", "-f", vacuum+"@1", "-c", "8", "-j", "2", "-t", strconv.Itoa(kindsTransactions))
			if err != nil {
				return fmt.Errorf("load of all index kinds: %w", err)
			}
			return nil
		},
	}
}

// kindsTransactions is how many transactions each client runs: enough for stock recovery to take some seconds.
const kindsTransactions = 5000

const kindsTable = `
CREATE TABLE d (id serial, k int, w int[], at point, span int4range, t text, note text) WITH (fillfactor = 90);
CREATE FUNCTION add(a int, n int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO d (k, w, at, span, t, note)
	SELECT a * g % 100000, ARRAY[a % 100, g % 1000, a * g % 5000], point(a * 37 % 3000, g * a % 710),
		int4range(a % 50000, a % 50000 + 1 + g % 400), md5((a * g)::text), repeat('note ', g % 20)
	FROM generate_series(1, n) g $$;
SELECT add(a, 10) FROM generate_series(1, 20000) a;
CREATE UNIQUE INDEX d_id ON d (id);
CREATE INDEX d_btree ON d (k);
CREATE INDEX d_hash ON d USING hash (t);
CREATE INDEX d_gin ON d USING gin (w);
CREATE INDEX d_gist ON d USING gist (at);
CREATE INDEX d_spgist ON d USING spgist (t);
CREATE INDEX d_quad ON d USING spgist (at);
CREATE INDEX d_range ON d USING gist (span);
CREATE INDEX d_brin ON d USING brin (id) WITH (pages_per_range = 8)`

const kindsWork = `
\set a random(1, 1000000)
\set id random(1, 200000)
\set what random(1, 10)
\if :what <= 4
SELECT add(:a, 5);
\elif :what <= 6
UPDATE d SET k = :a % 100000, at = point(:a % 3000, :id % 710) WHERE id BETWEEN :id AND :id + 4;
\elif :what <= 8
UPDATE d SET note = note || '.' WHERE id BETWEEN :id AND :id + 4;
\elif :what <= 9
DELETE FROM d WHERE id BETWEEN :id AND :id + 4;
\else
UPDATE d SET t = md5(t), w = w || :a % 5000, span = int4range(:a % 50000, :a % 50000 + 9) WHERE id BETWEEN :id AND :id + 4;
\endif
`

const kindsVacuum = "VACUUM d"
