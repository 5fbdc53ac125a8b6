-- A little of everything that WAL can hold: records of all the resource managers that
-- change no page by themselves, and page images in every compression.
-- config: track_commit_timestamp=on
-- config: max_prepared_transactions=5
-- config: wal_level=logical
-- config: allow_in_place_tablespaces=on
-- config: wal_compression=off
CREATE TABLE t (id int, v text);
CREATE TABLE z (id int, v text);
INSERT INTO z SELECT g, md5(g::text) || repeat(chr(65 + g % 20), g % 60) FROM generate_series(1, 900) g;
CREATE INDEX zi ON z (v, id);
CREATE EXTENSION dblink;
-- record
INSERT INTO t SELECT g, 'v' FROM generate_series(1, 500) g;
BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); SAVEPOINT b; INSERT INTO t VALUES (3); COMMIT;
BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); ROLLBACK TO a; INSERT INTO t VALUES (3); ROLLBACK;
BEGIN; CREATE TABLE never (i int PRIMARY KEY); ROLLBACK;
CREATE TABLE gone (i int, v text); DROP TABLE gone;
BEGIN; INSERT INTO t VALUES (7); SAVEPOINT a; CREATE TABLE prepared (i int); PREPARE TRANSACTION 'commits';
BEGIN; CREATE TABLE prepared2 (i int, v text); PREPARE TRANSACTION 'aborts';
BEGIN; INSERT INTO t VALUES (8); DROP TABLE IF EXISTS never; PREPARE TRANSACTION 'a name as long as one may be 3456789012345678901234567890';
COMMIT PREPARED 'commits';
ROLLBACK PREPARED 'aborts';
ROLLBACK PREPARED 'a name as long as one may be 3456789012345678901234567890';
CREATE UNLOGGED TABLE u (i int PRIMARY KEY);
DO $$ BEGIN FOR i IN 1..830 LOOP BEGIN INSERT INTO t VALUES (i); EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$;

-- Page images.
SET wal_compression = off; REINDEX INDEX zi;
SET wal_compression = pglz; REINDEX INDEX zi;
SET wal_compression = lz4; REINDEX INDEX zi;
SET wal_compression = zstd; REINDEX INDEX zi;
CHECKPOINT;
SET wal_compression = pglz; UPDATE z SET id = id + 1 WHERE id < 100;
CHECKPOINT;
SET wal_compression = zstd; UPDATE z SET id = id + 1 WHERE id BETWEEN 200 AND 300;
VACUUM (FREEZE) t;
SET wal_compression = lz4; VACUUM (FREEZE) z;
DELETE FROM t WHERE ctid >= '(1,0)'; VACUUM (TRUNCATE on) t;
TRUNCATE t;

-- Files and directories.
CREATE TABLESPACE ts LOCATION '';
CREATE TABLE int_ts (i int) TABLESPACE ts;
DROP TABLE int_ts;
DROP TABLESPACE ts;
UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'; DROP DATABASE template0;
VACUUM FULL pg_class;

-- Multixacts.
SELECT dblink_connect('a', :'conn'), dblink_connect('b', :'conn');
INSERT INTO t VALUES (1, 'x');
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'BEGIN');
SELECT count(*) FROM dblink('a', 'SELECT id FROM t FOR KEY SHARE') AS (id int);
SELECT count(*) FROM dblink('b', 'SELECT id FROM t FOR SHARE') AS (id int);
SELECT dblink_exec('a', 'COMMIT'), dblink_exec('b', 'COMMIT');

-- Replication origins.
SELECT pg_replication_origin_create('elsewhere');
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN; SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2001-02-03 04:05:06+00'); INSERT INTO t VALUES (2); COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_advance('elsewhere', '1/23456789');
SELECT pg_replication_origin_drop('elsewhere');

SELECT pg_logical_emit_message(false, 'prefix', 'a message on several pages: ' || repeat('x', 20000));
SELECT pg_logical_emit_message(true, 'prefix', 'short');
SELECT pg_create_restore_point('here');
SELECT lo_create(0) IS NOT NULL FROM generate_series(1, 10);
ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf(); CHECKPOINT;
SELECT pg_switch_wal() IS NOT NULL;
INSERT INTO t VALUES (3);
CHECKPOINT;
