-- Generic records, which only extensions write: here a bloom index.
CREATE EXTENSION bloom;
SET synchronous_commit = off;
CREATE TABLE t (a int, b int, c text);
CREATE INDEX t_bloom ON t USING bloom (a, b, c) WITH (length = 200);
INSERT INTO t SELECT g, g % 10, 'c' || g FROM generate_series(1, 700) g;
DELETE FROM t WHERE a % 3 = 0;
VACUUM t;
INSERT INTO t SELECT g, g % 10, 'd' || g FROM generate_series(1, 500) g;
DELETE FROM t WHERE a < 350;
VACUUM t;
INSERT INTO t SELECT g, g % 10, 'e' || g FROM generate_series(1, 50) g;
CREATE TABLE u AS SELECT * FROM t;
CREATE INDEX u_bloom ON u USING bloom (a, b);
INSERT INTO u SELECT g, g % 10, 'f' || g FROM generate_series(1, 50) g;
CREATE UNLOGGED TABLE v (a int);
CREATE INDEX v_bloom ON v USING bloom (a);

-- Since 19 a slot makes logical decoding possible, which is logged.
SELECT current_setting('server_version_num')::int >= 190000 AS since19 \gset
\if :since19
SELECT pg_create_logical_replication_slot('slot', 'test_decoding');
SELECT pg_drop_replication_slot('slot');
\endif
