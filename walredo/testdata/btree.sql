-- Every record of a btree, in each of its forms. Images are large, so they are off
-- where much is loaded: the next image of a page shows what went wrong before it.
SET synchronous_commit = off;
SET wal_consistency_checking = btree;

-- A key of 1000 bytes that sorts as its number: seven on a page, so trees grow high.
CREATE FUNCTION wide(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lpad(n::text, 8, '0') || repeat('x', 992) $$;

-- Ascending: NEWROOT, INSERT_LEAF, SPLIT_R of the rightmost page, INSERT_UPPER.
CREATE TABLE ascending (id int PRIMARY KEY);
INSERT INTO ascending SELECT g FROM generate_series(1, 10) g;
SET wal_consistency_checking = '';
INSERT INTO ascending SELECT g FROM generate_series(11, 400) g;
SET wal_consistency_checking = btree;
INSERT INTO ascending SELECT g FROM generate_series(401, 410) g;
-- Descending: SPLIT_L of the leftmost.
CREATE TABLE descending (k text COLLATE "C");
ALTER TABLE descending ALTER k SET STORAGE PLAIN;
CREATE INDEX ON descending (k);
INSERT INTO descending SELECT wide(g) FROM generate_series(40, 1, -1) g;

-- Scattered: splits in the middle of all levels, each with a right sibling to tell.
CREATE TABLE scattered (k text COLLATE "C", n int);
ALTER TABLE scattered ALTER k SET STORAGE PLAIN;
CREATE INDEX scattered_k ON scattered (k);
INSERT INTO scattered SELECT wide(g * 7919 % 400), g FROM generate_series(1, 399) g;

-- Pages that become empty: MARK_PAGE_HALFDEAD, UNLINK_PAGE of leaves and of the levels
-- above. The next VACUUM has deleted pages to count: META_CLEANUP. New splits take
-- them again: REUSE_PAGE.
DELETE FROM scattered WHERE k >= wide(100) AND k < wide(300);
VACUUM scattered;
CREATE TABLE some_xid AS SELECT 1 AS one;
VACUUM scattered;
INSERT INTO scattered SELECT wide(g * 7 % 200 + 100), g FROM generate_series(1, 80) g;
-- A tree that has shrunk to its right edge gets a fast root below the true one:
-- UNLINK_PAGE_META. When that page splits, so does the metapage change: INSERT_META.
DELETE FROM scattered;
VACUUM scattered;
INSERT INTO scattered SELECT wide(g), g FROM generate_series(600, 660) g;

-- Few keys, many rows: DEDUP.
SET wal_consistency_checking = '';
CREATE TABLE dup (k int, fill char(20));
CREATE INDEX dup_k ON dup (k);
INSERT INTO dup SELECT g % 7, '' FROM generate_series(1, 2300) g;
SET wal_consistency_checking = btree;
INSERT INTO dup SELECT g % 7, '' FROM generate_series(1, 200) g;
-- Rows go where others were, so their TIDs fall between those of a posting list:
-- VACUUM with updates, INSERT_POST.
DELETE FROM dup WHERE ctid::text LIKE '%5)' OR ctid::text LIKE '%2)';
VACUUM dup;
INSERT INTO dup SELECT g * 2 % 7, '' FROM generate_series(1, 10) g;
SET wal_consistency_checking = '';
INSERT INTO dup SELECT g * g % 7, '' FROM generate_series(1, 1200) g;
DELETE FROM dup WHERE ctid::text LIKE '%3)' OR k = 2;
SET wal_consistency_checking = btree;
VACUUM dup;
-- Full pages of one key's posting lists, and room in the table between their rows: a new
-- TID splits a posting list and the page too. SPLIT_L changes the list on the left page;
-- SPLIT_R has to, too, if the new item becomes the first one on the right.
SET wal_consistency_checking = '';
CREATE TABLE post (n int, k text);
ALTER TABLE post ALTER k SET STORAGE PLAIN;
INSERT INTO post SELECT g, CASE g % 2 WHEN 0 THEN '' ELSE repeat('k', 100) END FROM generate_series(1, 8000) g;
CREATE INDEX post_k ON post (k) WITH (fillfactor = 100) WHERE k <> '';
ALTER INDEX post_k SET (deduplicate_items = off);
SELECT unnest(ARRAY[
  format('DELETE FROM post WHERE k = %L AND n %% 1000 BETWEEN %s AND %s', '', r * 60, r * 60 + 59),
  'VACUUM post',
  'INSERT INTO post SELECT g, repeat(''k'', 100) FROM generate_series(1, 240) g'])
FROM generate_series(0, 9) r \gexec
SET wal_consistency_checking = btree;
INSERT INTO post SELECT g, repeat('k', 100) FROM generate_series(1, 100) g;

-- The same on a text key whose tuples have padding, and on a unique one.
SET wal_consistency_checking = '';
CREATE TABLE duptext (k text, u int UNIQUE);
CREATE INDEX duptext_k ON duptext (k);
INSERT INTO duptext SELECT repeat('k', 1 + g % 3), g FROM generate_series(1, 900) g;
DELETE FROM duptext WHERE u % 10 IN (2, 3, 5);
VACUUM duptext;
INSERT INTO duptext SELECT repeat('k', 1 + g % 5), -g FROM generate_series(1, 900) g;
DELETE FROM duptext WHERE u % 7 = 0;
SET wal_consistency_checking = btree;
VACUUM duptext;

-- DELETE of tuples that an index scan found dead, and with them of TIDs in posting
-- lists that lead to the same pages of the table.
CREATE TABLE killed (k int);
CREATE INDEX killed_k ON killed (k);
SET wal_consistency_checking = '';
INSERT INTO killed SELECT CASE g % 3 WHEN 0 THEN g ELSE 10000 + g % 3 END FROM generate_series(1, 900) g;
DELETE FROM killed WHERE ctid::text LIKE '%3)' OR ctid::text LIKE '%6)';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM killed WHERE k < 10000;
SET wal_consistency_checking = btree;
INSERT INTO killed SELECT g FROM generate_series(1, 100) g;
-- Bottom-up deletion: versions of rows that no one sees any more, some of them in
-- posting lists with others that stay.
SET wal_consistency_checking = '';
CREATE TABLE versions (id int, other int) WITH (fillfactor = 50);
CREATE INDEX versions_id ON versions (id);
CREATE INDEX versions_other ON versions (other);
INSERT INTO versions SELECT g % 50, g FROM generate_series(1, 200) g;
DO $$ BEGIN
  FOR i IN 1..11 LOOP
    UPDATE versions SET other = other + 1000;
    COMMIT;
  END LOOP;
END $$;
SET wal_consistency_checking = btree;
UPDATE versions SET other = other + 1000;
VACUUM versions;
