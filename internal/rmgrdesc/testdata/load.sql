-- One of everything that writes WAL. Run by psql on an empty cluster with
-- wal_level=logical, prepared transactions, commit timestamps and in-place tablespaces.

-- Logical decoding comes first: with a slot, rewriting a catalog logs its mappings.
SELECT pg_create_logical_replication_slot('slot', 'pgoutput');

-- Heap: all of its operations, on pages with room for HOT updates.
CREATE TABLE t (id int PRIMARY KEY, a text, b int) WITH (fillfactor = 70);
INSERT INTO t SELECT i, 'row ' || i, i % 17 FROM generate_series(1, 3000) i;
UPDATE t SET a = a || '.' WHERE id % 3 = 0;
UPDATE t SET id = -id WHERE id % 5 = 0;
INSERT INTO t VALUES (1, 'speculative', 0) ON CONFLICT (id) DO UPDATE SET b = 1;
INSERT INTO t VALUES (100000, 'speculative', 0) ON CONFLICT (id) DO NOTHING;
DELETE FROM t WHERE b = 3;
VACUUM t;
DELETE FROM t WHERE b = 4;
VACUUM (FREEZE) t;
SELECT count(*) FROM (SELECT 1 FROM t WHERE b = 5 FOR NO KEY UPDATE) x;
CREATE TABLE copied (i int); COPY copied FROM PROGRAM 'seq 1 2000';
INSERT INTO copied VALUES (0); COPY copied FROM PROGRAM 'seq 1 20';
CREATE TABLE big (id int, v text);
INSERT INTO big SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 50) i;
TRUNCATE big RESTART IDENTITY CASCADE;
VACUUM FULL pg_attribute;
SELECT pg_drop_replication_slot('slot');

-- Row locks of several transactions: multixacts with all kinds of members.
BEGIN; SELECT id FROM t WHERE id = 1 FOR KEY SHARE; PREPARE TRANSACTION 'keyshare';
BEGIN; SELECT id FROM t WHERE id = 1 FOR SHARE; PREPARE TRANSACTION 'share';
BEGIN; SELECT id FROM t WHERE id = 2 FOR KEY SHARE; PREPARE TRANSACTION 'keyshare2';
BEGIN; SELECT id FROM t WHERE id = 2 FOR NO KEY UPDATE; PREPARE TRANSACTION 'nokeyupd';
BEGIN; SELECT id FROM t WHERE id = 7 FOR KEY SHARE; PREPARE TRANSACTION 'keyshare3';
BEGIN; UPDATE t SET a = 'x' WHERE id = 7; PREPARE TRANSACTION 'upd';
BEGIN; SELECT id FROM t WHERE id = 7 FOR KEY SHARE; COMMIT;
BEGIN; SELECT id FROM t WHERE id = 8 FOR SHARE; SAVEPOINT a; SELECT id FROM t WHERE id = 8 FOR UPDATE; COMMIT;
BEGIN; SELECT id FROM t WHERE id = 11 FOR SHARE; SAVEPOINT a; UPDATE t SET id = -11 WHERE id = 11; COMMIT;
BEGIN; SELECT id FROM t WHERE id = 12 FOR SHARE; SAVEPOINT a; DELETE FROM t WHERE id = 12; COMMIT;
CHECKPOINT;
COMMIT PREPARED 'keyshare'; COMMIT PREPARED 'share'; COMMIT PREPARED 'keyshare2'; COMMIT PREPARED 'nokeyupd';
ROLLBACK PREPARED 'keyshare3'; COMMIT PREPARED 'upd';

-- Two-phase transactions that make and drop things, with invalidations and statistics.
CREATE TABLE dropme (i int PRIMARY KEY);
BEGIN; CREATE TABLE made (i serial PRIMARY KEY); DROP TABLE dropme; SAVEPOINT s; INSERT INTO made VALUES (1); RELEASE s;
PREPARE TRANSACTION 'ddl1';
COMMIT PREPARED 'ddl1';
BEGIN; CREATE TABLE unmade (i int PRIMARY KEY); DROP TABLE made; SAVEPOINT s; INSERT INTO unmade VALUES (1);
PREPARE TRANSACTION 'ddl2';
ROLLBACK PREPARED 'ddl2';
BEGIN; CREATE TABLE never (i int PRIMARY KEY); SAVEPOINT s; INSERT INTO never VALUES (1); ROLLBACK TO s; ROLLBACK;
DO $$ BEGIN FOR i IN 1..80 LOOP BEGIN INSERT INTO t VALUES (300000 + i, 'sub', i); EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$;
BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT txid_current(); CHECKPOINT; COMMIT;
SET synchronous_commit = remote_apply; CREATE TABLE synced (i int); RESET synchronous_commit;

-- Btree: splits, deduplication, posting lists, deletion of pages.
CREATE TABLE bt (k int, d int);
CREATE INDEX bt_k ON bt (k); CREATE INDEX bt_d ON bt (d);
INSERT INTO bt SELECT i, i % 7 FROM generate_series(1, 20000) i;
INSERT INTO bt SELECT -i, i % 7 FROM generate_series(1, 5000) i;
DELETE FROM bt WHERE k BETWEEN 2000 AND 15000; VACUUM bt;
INSERT INTO bt SELECT i, i % 7 FROM generate_series(2000, 9000) i;
SELECT txid_current(); SELECT txid_current();
VACUUM bt; DELETE FROM bt; VACUUM bt; SELECT txid_current(); INSERT INTO bt SELECT i, i FROM generate_series(1, 9000) i;

-- The other kinds of index.
CREATE TABLE h (k int); CREATE INDEX h_k ON h USING hash (k);
INSERT INTO h SELECT i FROM generate_series(1, 20000) i; INSERT INTO h SELECT 42 FROM generate_series(1, 3000);
DELETE FROM h WHERE k % 2 = 0; VACUUM h; INSERT INTO h SELECT i FROM generate_series(20000, 40000) i; VACUUM h;
CREATE TABLE g (id int, k int[]); CREATE INDEX g_k ON g USING gin (k);
INSERT INTO g SELECT i, ARRAY[i % 3, i, i % 400] FROM generate_series(1, 6000) i; VACUUM g;
INSERT INTO g SELECT i, ARRAY[1, i] FROM generate_series(1, 500) i; SELECT gin_clean_pending_list('g_k');
ALTER INDEX g_k SET (fastupdate = off); INSERT INTO g SELECT i, ARRAY[1, 2, i] FROM generate_series(1, 12000) i;
DELETE FROM g WHERE id % 3 <> 0; VACUUM g; DELETE FROM g; VACUUM g;
CREATE TABLE gi (id int, p point); CREATE INDEX gi_p ON gi USING gist (p);
INSERT INTO gi SELECT i, point(i % 100, i / 100) FROM generate_series(1, 8000) i;
DELETE FROM gi WHERE id < 5000; VACUUM gi; SELECT txid_current(); VACUUM gi;
INSERT INTO gi SELECT i, point(i % 10, i / 10) FROM generate_series(1, 3000) i;
CREATE TABLE sp (id int, v text); CREATE INDEX sp_v ON sp USING spgist (v);
INSERT INTO sp SELECT i, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN md5(i::text) ELSE repeat('a', i % 90) || i END FROM generate_series(1, 8000) i;
DELETE FROM sp WHERE id % 4 = 1; VACUUM sp; SELECT txid_current(); VACUUM sp;
CREATE TABLE br (k int, v text); CREATE INDEX br_k ON br USING brin (k, v) WITH (pages_per_range = 1);
INSERT INTO br SELECT i, 'x' || i FROM generate_series(1, 3000) i; VACUUM br;
UPDATE br SET v = repeat('y', k % 900) WHERE k % 7 = 0; VACUUM br;
SELECT brin_desummarize_range('br_k', 1); SELECT brin_summarize_new_values('br_k');

-- Sequences, relation maps, databases, tablespaces, unlogged tables.
CREATE SEQUENCE s; SELECT count(nextval('s')) FROM generate_series(1, 100);
CREATE UNLOGGED TABLE ul (i int PRIMARY KEY);
VACUUM FULL pg_class; REINDEX INDEX pg_class_oid_index; ANALYZE;
CREATE TABLESPACE ts LOCATION ''; CREATE TABLE ints (i int) TABLESPACE ts; ALTER TABLE t SET TABLESPACE ts;
CREATE DATABASE d1 STRATEGY wal_log; CREATE DATABASE d2 STRATEGY file_copy; CREATE DATABASE d3 TABLESPACE ts;
DROP DATABASE d1; DROP DATABASE d2; DROP DATABASE d3; DROP TABLE ints; ALTER TABLE t SET TABLESPACE pg_default; DROP TABLESPACE ts;
DELETE FROM bt; VACUUM (TRUNCATE) bt;

-- Messages, origins, marks.
SELECT pg_logical_emit_message(true, 'prefix', 'text'), pg_logical_emit_message(false, 'p "q"', '\x00ff10'::bytea);
SELECT pg_replication_origin_create('origin');
SELECT pg_replication_origin_advance('origin', '0/77');
SELECT pg_replication_origin_session_setup('origin');
BEGIN; SELECT pg_replication_origin_xact_setup('1/23', '1999-12-31 23:59:58.25+00'); INSERT INTO h VALUES (1); COMMIT;
BEGIN; SELECT pg_replication_origin_xact_setup('1/24', '2020-01-02 03:04:05+00'); INSERT INTO h VALUES (1); PREPARE TRANSACTION 'o1';
SELECT pg_replication_origin_xact_setup('1/25', '2020-01-02 03:04:06+00'); COMMIT PREPARED 'o1';
BEGIN; INSERT INTO h VALUES (2); PREPARE TRANSACTION 'o2';
SELECT pg_replication_origin_xact_setup('1/26', '2020-01-02 03:04:07+00'); ROLLBACK PREPARED 'o2';
SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_drop('origin');
SELECT pg_create_restore_point('a point of "restore"');
SELECT pg_backup_start('label', true); SELECT lsn FROM pg_backup_stop(false);
CREATE EXTENSION bloom; CREATE TABLE blo (i int, j int); CREATE INDEX blo_i ON blo USING bloom (i, j);
INSERT INTO blo SELECT i, i FROM generate_series(1, 2000) i; DELETE FROM blo WHERE i < 500; VACUUM blo;
ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf(); SELECT pg_sleep(0.3); CHECKPOINT;
INSERT INTO t VALUES (500000, 'no page images', 1); SELECT pg_switch_wal(); INSERT INTO t VALUES (500001, 'next segment', 1);
ALTER SYSTEM RESET full_page_writes; SELECT pg_reload_conf(); SELECT pg_sleep(0.3); CHECKPOINT;
