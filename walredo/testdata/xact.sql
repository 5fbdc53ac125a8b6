-- What pages know of transactions: pg_xact, commit timestamps, sequences, savepoints
-- in numbers, and relations that come, shrink and go.
-- config: track_commit_timestamp=on
-- config: max_prepared_transactions=5
CREATE TABLE t (id int);
-- record
CREATE SEQUENCE s;
SELECT nextval('s'), nextval('s');
SELECT setval('s', 1000);
SELECT nextval('s');
ALTER SEQUENCE s INCREMENT 5 CACHE 10;
SELECT nextval('s');

-- More subtransactions than fit beside the top one.
DO $$
BEGIN
  FOR i IN 1..150 LOOP
    BEGIN
      INSERT INTO t VALUES (i);
      IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END $$;
BEGIN; INSERT INTO t VALUES (1); ROLLBACK;
-- A subtransaction that is rolled back, and with it a table and its statistics.
BEGIN; SAVEPOINT s; CREATE TABLE within (i int PRIMARY KEY); INSERT INTO within VALUES (1); ROLLBACK TO s; INSERT INTO t VALUES (2); COMMIT;

BEGIN; CREATE TABLE never (i int); INSERT INTO never VALUES (1); ROLLBACK;
BEGIN; INSERT INTO t VALUES (7); SAVEPOINT a; INSERT INTO t VALUES (8); PREPARE TRANSACTION 'x';
BEGIN; CREATE TABLE prepared (i int); PREPARE TRANSACTION 'y';
COMMIT PREPARED 'x';
ROLLBACK PREPARED 'y';
CREATE UNLOGGED TABLE u (i int PRIMARY KEY);
INSERT INTO u VALUES (1);
DROP TABLE t;

-- A visibility map that is cut within a page.
CREATE TABLE shrinks (i int, v text);
INSERT INTO shrinks SELECT g, repeat('s', 500) FROM generate_series(1, 300) g;
VACUUM (FREEZE) shrinks;
DELETE FROM shrinks WHERE i > 40;
VACUUM (TRUNCATE on) shrinks;
INSERT INTO shrinks SELECT g, repeat('s', 500) FROM generate_series(1, 300) g;
VACUUM shrinks;

-- Transaction ids in numbers: new pages of pg_xact and pg_commit_ts, and one commit that
-- writes many of them. A temporary table takes ids without logging.
SET wal_consistency_checking = '';
CREATE TEMP TABLE burns (i int);
DO $$
BEGIN
  FOR i IN 1..33000 LOOP
    BEGIN INSERT INTO burns VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
  END LOOP;
END $$;
