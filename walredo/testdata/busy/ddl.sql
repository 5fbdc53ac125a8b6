-- Relations that come and go, truncations, rewrites, databases, prepared transactions.
\set n random(1, 1000000)
\set what random(1, 12)
\if :what = 1
CREATE TABLE d:n AS SELECT g AS i, repeat('d', 100) AS t FROM generate_series(1, 500) g;
CREATE INDEX ON d:n (i);
VACUUM (FREEZE) d:n;
DELETE FROM d:n WHERE i > 100;
VACUUM d:n;
INSERT INTO d:n SELECT g, 'again' FROM generate_series(1, 300) g;
\elif :what = 2
BEGIN;
CREATE TABLE r:n AS SELECT g AS i FROM generate_series(1, 500) g;
TRUNCATE ups;
ROLLBACK;
\elif :what = 3
BEGIN;
TRUNCATE ups;
INSERT INTO ups SELECT g, 0 FROM generate_series(1, 10) g;
COMMIT;
\elif :what = 4
VACUUM FULL few;
\elif :what = 5
VACUUM (FREEZE) acc;
\elif :what = 6
VACUUM few, hist, ups;
\elif :what = 7
BEGIN;
INSERT INTO ups SELECT :n + g, 0 FROM generate_series(100, 110) g ON CONFLICT DO NOTHING;
PREPARE TRANSACTION 'p:n';
COMMIT PREPARED 'p:n';
\elif :what = 8
BEGIN;
CREATE TABLE p:n (i int);
INSERT INTO p:n VALUES (1);
PREPARE TRANSACTION 'q:n';
\elif :what = 9
CREATE DATABASE w:n STRATEGY wal_log;
\elif :what = 10
CREATE DATABASE f:n STRATEGY file_copy;
DROP DATABASE f:n;
\elif :what = 11
CLUSTER acc USING acc_pkey;
INSERT INTO unlogged VALUES (:n) ON CONFLICT DO NOTHING;
\else
ANALYZE acc;
CHECKPOINT;
\endif
\sleep 50 ms
