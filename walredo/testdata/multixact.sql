-- also: 17.10 18.4
-- Multixacts: two sessions lock, update and delete the same rows.
-- config: max_prepared_transactions=5
CREATE EXTENSION dblink;
-- In one transaction, so that the rows have command ids that replay must forget.
BEGIN;
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (id int, parent int REFERENCES parent);
INSERT INTO parent SELECT g, 'v' FROM generate_series(1, 60) g;
COMMIT;
-- record
SELECT dblink_connect('a', :'conn'), dblink_connect('b', :'conn'), dblink_connect('c', :'conn');

-- Two and three lockers.
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'BEGIN'), dblink_exec('c', 'BEGIN');
SELECT * FROM dblink('a', 'SELECT id FROM parent WHERE id < 20 FOR KEY SHARE') AS (id int) WHERE false;
SELECT * FROM dblink('b', 'SELECT id FROM parent WHERE id < 10 FOR SHARE') AS (id int) WHERE false;
SELECT * FROM dblink('c', 'SELECT id FROM parent WHERE id < 5 FOR KEY SHARE') AS (id int) WHERE false;
-- An update that does not touch the key goes on beside key share lockers.
SELECT dblink_exec('c', 'UPDATE parent SET v = ''w'' WHERE id BETWEEN 12 AND 18');
-- LOCK_UPDATED: the lock follows the update chain.
SELECT * FROM dblink('b', 'SELECT id FROM parent WHERE id BETWEEN 13 AND 15 FOR KEY SHARE') AS (id int) WHERE false;
SELECT dblink_exec('b', 'SAVEPOINT s'), dblink_exec('b', 'INSERT INTO child VALUES (1, 16), (2, 17)');
SELECT dblink_exec('b', 'ROLLBACK TO s'), dblink_exec('b', 'INSERT INTO child VALUES (3, 18)');
SELECT dblink_exec('a', 'COMMIT'), dblink_exec('b', 'COMMIT'), dblink_exec('c', 'COMMIT');

-- On a frozen table: lockers clear the frozen bit only, an updater both.
VACUUM (FREEZE) parent;
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'BEGIN'), dblink_exec('c', 'BEGIN');
SELECT * FROM dblink('a', 'SELECT id FROM parent WHERE id = 30 FOR KEY SHARE') AS (id int) WHERE false;
SELECT * FROM dblink('b', 'SELECT id FROM parent WHERE id = 30 FOR KEY SHARE') AS (id int) WHERE false;
SELECT dblink_exec('c', 'UPDATE parent SET v = ''x'' WHERE id = 30');
SELECT dblink_exec('a', 'COMMIT'), dblink_exec('b', 'ROLLBACK'), dblink_exec('c', 'ROLLBACK');

-- The chain's later version on another, frozen page.
VACUUM (FREEZE) parent;
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'BEGIN');
SELECT dblink_exec('a', 'UPDATE parent SET v = repeat(''y'', 6000) WHERE id = 31');
SELECT * FROM dblink('b', 'SELECT id FROM parent WHERE id = 31 FOR KEY SHARE') AS (id int) WHERE false;
SELECT dblink_exec('a', 'COMMIT'), dblink_exec('b', 'COMMIT');

-- A multixact with a prepared member, and freezing of multixacts.
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'BEGIN');
SELECT * FROM dblink('a', 'SELECT id FROM parent WHERE id BETWEEN 40 AND 45 FOR SHARE') AS (id int) WHERE false;
SELECT * FROM dblink('b', 'SELECT id FROM parent WHERE id BETWEEN 40 AND 45 FOR SHARE') AS (id int) WHERE false;
SELECT dblink_exec('b', 'PREPARE TRANSACTION ''locks''');
VACUUM (FREEZE) parent;
SELECT dblink_exec('a', 'COMMIT');
VACUUM (FREEZE) parent;
COMMIT PREPARED 'locks';
DELETE FROM parent WHERE id = 41;
VACUUM (FREEZE) parent;

-- A speculative insertion that loses: super-deletion.
CREATE TABLE spec (k int, v text);
CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN $1; END $$;
CREATE UNIQUE INDEX ON spec (slow(k));
SELECT dblink_exec('a', 'BEGIN'), dblink_exec('b', 'SET lock_timeout = 0');
SELECT * FROM dblink('a', 'SELECT pg_advisory_xact_lock(1)') AS (x text);
SELECT dblink_send_query('b', 'INSERT INTO spec VALUES (1, ''b'') ON CONFLICT (slow(k)) DO NOTHING');
SELECT dblink_send_query('c', 'INSERT INTO spec VALUES (1, ''c'') ON CONFLICT (slow(k)) DO NOTHING');
SELECT pg_sleep(0.2);
SELECT dblink_exec('a', 'COMMIT');
SELECT * FROM dblink_get_result('b') AS (r text);
SELECT * FROM dblink_get_result('c') AS (r text);

-- Multixacts in numbers, for new pages of offsets and members: each subtransaction's lock
-- makes one of its own.
SET wal_consistency_checking = '';
DO $$
BEGIN
  PERFORM 1 FROM parent WHERE id = 50 FOR KEY SHARE;
  FOR i IN 1..2200 LOOP
    BEGIN
      PERFORM 1 FROM parent WHERE id = 50 FOR NO KEY UPDATE;
      RAISE EXCEPTION 'no';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END $$;

SELECT dblink_disconnect('a'), dblink_disconnect('b'), dblink_disconnect('c');
