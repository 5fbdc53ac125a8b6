-- Multixacts whose members lie beyond what 32 bits can count, over the end of a segment, which is removed then.
-- only: 19
-- config: track_commit_timestamp=on
-- counters: xid=1048250 multi=65500 oldestmulti=1 offset=8589968452
-- oracle: no, it truncates SLRUs; repo/ingest's oracle does that
UPDATE pg_database SET datallowconn = true;
CREATE TABLE t(a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 50);
CREATE EXTENSION dblink;
-- record
SELECT dblink_connect('second', :'conn');
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
\c postgres
VACUUM FREEZE;
