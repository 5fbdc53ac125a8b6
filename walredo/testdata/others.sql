-- The operations that change no page of a relation.
-- config: wal_level=logical
-- config: track_commit_timestamp=on
-- config: allow_in_place_tablespaces=on
-- config: max_replication_slots=5
-- counters: xid=1048250 multi=65500 oldestmulti=1 offset=52300
-- change: max_connections=77
-- oracle: no, it truncates SLRUs; repo/ingest's oracle does that
UPDATE pg_database SET datallowconn = true;
CREATE TABLE t(a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 50);
SELECT pg_create_logical_replication_slot('slot', 'test_decoding');
CREATE EXTENSION dblink;
-- record
-- databases and tablespaces
CREATE TABLESPACE ts LOCATION '';
SELECT current_setting('server_version_num')::int < 150000 AS before15 \gset
\if :before15
CREATE DATABASE w; CREATE DATABASE f TEMPLATE w TABLESPACE ts;
\else
CREATE DATABASE w STRATEGY wal_log; CREATE DATABASE f TEMPLATE w STRATEGY file_copy TABLESPACE ts;
\endif
DROP DATABASE f; DROP TABLESPACE ts;

-- mapped catalogs; what logical decoding is told of a catalog that is made anew
VACUUM FULL pg_class;

-- replication origins, messages, restore points, a switch, a backup
SELECT pg_replication_origin_create('o');
SELECT pg_replication_origin_advance('o', '0/7654321');
SELECT pg_replication_origin_session_setup('o');
BEGIN; SELECT pg_replication_origin_xact_setup('0/1234567', now()); INSERT INTO t VALUES (-1); COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_drop('o');
SELECT pg_logical_emit_message(true, 'p', 'transactional'), pg_logical_emit_message(false, 'p', 'not');
SELECT pg_create_restore_point('point');
\if :before15
SELECT pg_start_backup('backup', true, false); SELECT lsn FROM pg_stop_backup(false);
\else
SELECT pg_backup_start('backup', true); SELECT lsn FROM pg_backup_stop(false);
\endif
SELECT pg_switch_wal();

SELECT pg_drop_replication_slot('slot');

-- over the ends of segments of SLRUs, which are removed then
SELECT dblink_connect('second', :'conn');
DO $$ BEGIN FOR i IN 1..500 LOOP BEGIN INSERT INTO t VALUES (1000 + i); EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$;
DO $$ BEGIN
	FOR i IN 1..60 LOOP
		PERFORM dblink_exec('second', 'BEGIN'); PERFORM * FROM dblink('second', 'SELECT a FROM t WHERE a = ' || i % 50 + 1 || ' FOR KEY SHARE') AS x(a int);
		PERFORM a FROM t WHERE a = i % 50 + 1 FOR KEY SHARE;
		PERFORM dblink_exec('second', 'COMMIT');
	END LOOP;
END $$;
SELECT dblink_disconnect('second');
VACUUM FREEZE;
\c template0
VACUUM FREEZE;
\c template1
VACUUM FREEZE;
\c w
VACUUM FREEZE;
\c postgres
VACUUM FREEZE;
