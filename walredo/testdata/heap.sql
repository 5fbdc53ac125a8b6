-- also: 17.10 18.4
-- Heap and Heap2 in all their forms, by one session.
-- initdb: --data-checksums
-- config: wal_level=logical
-- config: max_prepared_transactions=5
CREATE EXTENSION pg_visibility;
CREATE TABLE warm (i int);
-- Rows with command ids, and combined ones, that replay must forget.
BEGIN;
CREATE TABLE cids (id int, v text);
INSERT INTO cids SELECT g, 'first' FROM generate_series(1, 20) g;
SAVEPOINT s;
UPDATE cids SET v = 'second' WHERE id > 10;
DELETE FROM cids WHERE id > 15;
ROLLBACK TO s;
COMMIT;
-- record

-- INSERT+INIT, INSERT; nulls; a wide row; toast.
CREATE TABLE t (id int PRIMARY KEY, a text, b int, c text) WITH (fillfactor = 70);
CREATE INDEX ON t (b);
INSERT INTO t SELECT g, 'row ' || g, g % 10, repeat('x', g % 50) FROM generate_series(1, 120) g;
INSERT INTO t VALUES (1001, NULL, NULL, NULL), (1002, '', 0, NULL);
INSERT INTO t SELECT 2000 + g, (SELECT string_agg(md5((g * h)::text), '') FROM generate_series(1, 200) h), g, 'toasted' FROM generate_series(1, 3) g;

-- MULTI_INSERT+INIT and MULTI_INSERT: COPY.
CREATE TABLE copied (id int, v text);
COPY copied FROM STDIN;
1	one
2	\N
3	a longer value than the others have
\.
COPY copied (id) FROM PROGRAM 'seq 10 400';

-- HOT_UPDATE and UPDATE, with prefix and suffix from the old tuple and without.
UPDATE t SET c = c || '!' WHERE id BETWEEN 1 AND 20;
UPDATE t SET a = 'prefix' || a WHERE id BETWEEN 5 AND 15;
UPDATE t SET b = b + 1 WHERE id BETWEEN 1 AND 60;
UPDATE t SET a = repeat('y', 400) WHERE id BETWEEN 30 AND 50;
UPDATE t SET a = NULL, c = 'was null' WHERE id IN (1, 1001, 1002);
UPDATE t SET a = repeat('z', 3000) WHERE id IN (61, 62, 63, 64);

-- UPDATE+INIT: the new tuple is the first of a new page.
CREATE TABLE full_page (id int, v text);
INSERT INTO full_page SELECT g, repeat('v', 2500) FROM generate_series(1, 3) g;
UPDATE full_page SET v = repeat('w', 2600);

-- DELETE; PRUNE with redirects, dead and unused; VACUUM of the dead.
DELETE FROM t WHERE id BETWEEN 100 AND 110;
UPDATE t SET c = 'hot' WHERE id BETWEEN 1 AND 10;
UPDATE t SET c = 'hotter' WHERE id BETWEEN 1 AND 10;
SELECT count(*) FROM t;
VACUUM (INDEX_CLEANUP on) t;
DELETE FROM t WHERE id > 115;
VACUUM (INDEX_CLEANUP on) t;

-- VISIBLE, then each that clears: insert, update, HOT update, delete, lock, COPY.
VACUUM (FREEZE) t;
INSERT INTO t VALUES (3001, 'clears', 1, 'both bits');
VACUUM (FREEZE) t;
UPDATE t SET c = 'clears the old page, maybe the new' WHERE id = 7;
VACUUM (FREEZE) t;
UPDATE t SET b = 99, a = repeat('q', 1500) WHERE id IN (20, 21, 22, 23);
VACUUM (FREEZE) t;
DELETE FROM t WHERE id = 8;
VACUUM (FREEZE) t;
BEGIN; SELECT id FROM t WHERE id = 9 FOR UPDATE; COMMIT;
VACUUM (FREEZE) t;
BEGIN; SELECT id FROM t WHERE id = 10 FOR SHARE; ROLLBACK;
VACUUM (FREEZE) copied;
COPY copied FROM STDIN;
5000	after the freeze
5001	another
\.

-- LOCK with each strength, and subtransactions.
BEGIN;
SELECT id FROM t WHERE id = 11 FOR KEY SHARE;
SELECT id FROM t WHERE id = 11 FOR SHARE;
SELECT id FROM t WHERE id = 12 FOR NO KEY UPDATE;
SELECT id FROM t WHERE id = 13 FOR UPDATE;
SAVEPOINT s1;
UPDATE t SET c = 'in a subtransaction' WHERE id = 12;
SAVEPOINT s2;
DELETE FROM t WHERE id = 13;
ROLLBACK TO s2;
UPDATE t SET c = 'after the rollback' WHERE id = 13;
RELEASE s1;
COMMIT;

-- FREEZE_PAGE: plain and with a locker left in xmax.
CREATE TABLE frozen (id int PRIMARY KEY, v text);
INSERT INTO frozen SELECT g, 'v' || g FROM generate_series(1, 100) g;
BEGIN; SELECT count(*) FROM (SELECT 1 FROM frozen WHERE id < 20 FOR SHARE) s; COMMIT;
UPDATE frozen SET v = 'w' WHERE id > 90;
VACUUM (FREEZE) frozen;

-- Speculative insertion: INSERT, HEAP_CONFIRM; one that loses is a super-deleted row.
INSERT INTO frozen VALUES (1, 'no'), (200, 'yes') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO frozen VALUES (201, 'yes') ON CONFLICT DO NOTHING;
CREATE UNIQUE INDEX ON frozen (v) WHERE id > 1000;

-- A row that moves to another partition.
CREATE TABLE part (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (100) TO (200);
INSERT INTO part SELECT g, 'p' FROM generate_series(1, 20) g;
UPDATE part SET id = id + 100 WHERE id <= 5;

-- INPLACE: ANALYZE and VACUUM overwrite pg_class.
ANALYZE t;

-- Catalog changes: NEW_CID. TRUNCATE, and a truncation by VACUUM.
TRUNCATE copied;
INSERT INTO warm SELECT generate_series(1, 900);
VACUUM warm;
DELETE FROM warm WHERE i > 200;
VACUUM (TRUNCATE on) warm;
INSERT INTO warm SELECT generate_series(1, 100);

-- COPY FREEZE: pages that are all visible from the start.
BEGIN;
CREATE TABLE copied_frozen (id int, v text);
COPY copied_frozen (id) FROM PROGRAM 'seq 1 500' WITH (FREEZE);
COMMIT;
INSERT INTO copied_frozen VALUES (0, 'clears');

-- VACUUM FULL and CLUSTER rewrite; CREATE INDEX; ALTER TABLE.
ALTER TABLE t ADD d int DEFAULT 5;
ALTER TABLE t ALTER b TYPE bigint;
VACUUM FULL frozen;
CLUSTER t USING t_pkey;

UPDATE cids SET v = 'third' WHERE id IN (1, 11, 16);
DELETE FROM cids WHERE id IN (2, 12, 17);
BEGIN; SELECT count(*) FROM (SELECT 1 FROM cids WHERE id IN (3, 13, 18) FOR UPDATE) s; COMMIT;

-- A prepared transaction, both ways.
BEGIN; UPDATE t SET c = 'prepared' WHERE id = 14; PREPARE TRANSACTION 'p1';
BEGIN; UPDATE t SET c = 'prepared too' WHERE id = 15; SAVEPOINT s; DELETE FROM t WHERE id = 16; PREPARE TRANSACTION 'p2';
COMMIT PREPARED 'p1';
ROLLBACK PREPARED 'p2';
