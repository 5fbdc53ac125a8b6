-- Every record of GIN. Images are large: what only fills the indexes happens before the
-- recording, which begins with a move of the indexes to another tablespace, as this logs
-- all of their pages.
-- config: full_page_writes=off
-- config: allow_in_place_tablespaces=on
CREATE TABLESPACE elsewhere LOCATION '';
CREATE TABLE posting (id int, k int[]);
INSERT INTO posting SELECT g, ARRAY[1, 10 + g % 11] FROM generate_series(1, 30000) g;
CREATE INDEX posting_k ON posting USING gin (k) WITH (fastupdate = off);
INSERT INTO posting SELECT g, ARRAY[2] FROM generate_series(1, 2600) g;
-- 500 bytes are not compressed yet: some 15 on a page.
CREATE FUNCTION wide(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lpad(n::text, 8, '0') || repeat('x', 480) $$;
CREATE TABLE entry (id int, k text[] COLLATE "C");
CREATE INDEX entry_k ON entry USING gin (k) WITH (fastupdate = off);
INSERT INTO entry SELECT g, ARRAY[wide(g * 7919 % 300)] FROM generate_series(1, 120) g;
-- Rows to fill the holes in the table between other rows: see below.
DELETE FROM posting WHERE id BETWEEN 3000 AND 3999 AND id % 3 = 0 AND k[1] = 1;
VACUUM posting;
-- record
SET synchronous_commit = off;
ALTER INDEX posting_k SET TABLESPACE elsewhere;
ALTER INDEX entry_k SET TABLESPACE elsewhere;
SET wal_consistency_checking = gin;

-- The entry tree: INSERT of new keys and of TIDs for old ones (isdelete), SPLIT of
-- leaves, of the root, and of inner pages.
CREATE TABLE fresh (id int, k text[] COLLATE "C");
CREATE INDEX fresh_k ON fresh USING gin (k) WITH (fastupdate = off);
INSERT INTO fresh SELECT g, ARRAY[wide(g * 7919 % 300)] FROM generate_series(1, 40) g;
INSERT INTO entry SELECT g, ARRAY[wide(g * 7919 % 300)] FROM generate_series(121, 260) g;
INSERT INTO entry VALUES (311, NULL), (312, '{}'), (313, ARRAY[NULL, 'a', wide(3)]);
INSERT INTO entry SELECT g, ARRAY[wide(g), 'a', NULL] FROM generate_series(1, 20) g;
-- VACUUM_PAGE: entries lose TIDs.
DELETE FROM entry WHERE id % 3 = 0;
VACUUM entry;
INSERT INTO entry SELECT g, ARRAY[wide(g), 'a'] FROM generate_series(1, 20) g;

-- A key's TIDs outgrow their entry: CREATE_PTREE.
INSERT INTO posting SELECT g, ARRAY[2] FROM generate_series(2601, 2800) g;
-- TIDs at the end and in the middle of a posting tree: items are added to segments, and
-- segments that become too long are replaced by two. Leaves split.
INSERT INTO posting SELECT g, ARRAY[1, 2, 10 + g % 11] FROM generate_series(1, 150) g;
INSERT INTO posting SELECT g, ARRAY[1] FROM generate_series(1, 2000) g;
-- VACUUM_DATA_LEAF_PAGE: segments shrink, and go; empty leaves go: DELETE_PAGE.
SET wal_consistency_checking = '';
DELETE FROM posting WHERE id < 2000 AND id % 5 = 0;
DELETE FROM posting WHERE id BETWEEN 2000 AND 2600 OR id BETWEEN 4000 AND 24000;
SET wal_consistency_checking = gin;
VACUUM posting;
-- New rows where others were.
INSERT INTO posting SELECT g, ARRAY[1, 2, 10 + g % 11] FROM generate_series(1, 60) g;

-- The pending list: its first page, tuples for its tail page, new tail pages
-- (INSERT_LISTPAGE, UPDATE_META_PAGE), and the end (DELETE_LISTPAGE), where many TIDs
-- go into a posting tree at once.
ALTER INDEX posting_k SET (fastupdate = on, gin_pending_list_limit = 64);
INSERT INTO posting SELECT g, ARRAY[1, 2] FROM generate_series(1, 3) g;
INSERT INTO posting SELECT g, array_agg(h) FROM generate_series(1, 4) g, generate_series(1, 700) h GROUP BY g;
INSERT INTO posting SELECT g, ARRAY[1, 2] FROM generate_series(1, 40) g;
SET wal_consistency_checking = '';
INSERT INTO posting SELECT g, ARRAY[1, 2] FROM generate_series(1, 1500) g;
SET wal_consistency_checking = gin;
VACUUM posting;

-- Images of pages that a record changes, as after each checkpoint, and changes after
-- those.
ALTER SYSTEM SET full_page_writes = on;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
CHECKPOINT;
INSERT INTO posting SELECT g, ARRAY[1, 2] FROM generate_series(1, 20) g;
INSERT INTO entry SELECT g, ARRAY[wide(g + 500)] FROM generate_series(1, 40) g;
SELECT gin_clean_pending_list('posting_k');
