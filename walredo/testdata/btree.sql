-- Every record of a btree, in each of its forms.
SET wal_consistency_checking = btree;
SET synchronous_commit = off;

-- A key of 1000 bytes that sorts as its number: seven on a page, so trees grow high.
CREATE FUNCTION wide(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lpad(n::text, 8, '0') || repeat('x', 992) $$;

-- Ascending: NEWROOT, INSERT_LEAF, SPLIT_R of the rightmost page, INSERT_UPPER.
CREATE TABLE ascending (id int PRIMARY KEY);
INSERT INTO ascending SELECT g FROM generate_series(1, 900) g;
-- Descending: SPLIT_L of the leftmost.
CREATE TABLE descending (k text COLLATE "C");
ALTER TABLE descending ALTER k SET STORAGE PLAIN;
CREATE INDEX ON descending (k);
INSERT INTO descending SELECT wide(g) FROM generate_series(60, 1, -1) g;

-- Scattered: splits in the middle of all levels, each with a right sibling to tell.
CREATE TABLE scattered (k text COLLATE "C", n int);
ALTER TABLE scattered ALTER k SET STORAGE PLAIN;
CREATE INDEX scattered_k ON scattered (k);
INSERT INTO scattered SELECT wide(g * 7919 % 500), g FROM generate_series(1, 499) g;

-- Pages that become empty: MARK_PAGE_HALFDEAD, UNLINK_PAGE of leaves and of the levels
-- above. The next VACUUM has deleted pages to count: META_CLEANUP. New splits take
-- them again: REUSE_PAGE.
DELETE FROM scattered WHERE k >= wide(100) AND k < wide(400);
VACUUM scattered;
CREATE TABLE some_xid AS SELECT 1 AS one;
VACUUM scattered;
INSERT INTO scattered SELECT wide(g * 7 % 300 + 100), g FROM generate_series(1, 120) g;
-- A tree that has shrunk to its right edge gets a fast root below the true one:
-- UNLINK_PAGE_META. When that page splits, so does the metapage change: INSERT_META.
DELETE FROM scattered;
VACUUM scattered;
INSERT INTO scattered SELECT wide(g), g FROM generate_series(600, 700) g;

-- Few keys, many rows: DEDUP, and splits of the posting lists that it made.
CREATE TABLE dup (k int, fill char(20));
CREATE INDEX dup_k ON dup (k);
INSERT INTO dup SELECT g % 7, '' FROM generate_series(1, 2500) g;
-- Rows go where others were, so their TIDs fall between those of a posting list:
-- VACUUM with updates, INSERT_POST, SPLIT_L and SPLIT_R at a posting list.
DELETE FROM dup WHERE ctid::text LIKE '%5)' OR ctid::text LIKE '%2)';
VACUUM dup;
INSERT INTO dup SELECT g * g % 7, '' FROM generate_series(1, 1200) g;
DELETE FROM dup WHERE ctid::text LIKE '%3)' OR k = 2;
VACUUM dup;
INSERT INTO dup SELECT g * 3 % 7, '' FROM generate_series(1, 2000) g;
DELETE FROM dup WHERE ctid::text LIKE '%1)' OR ctid::text LIKE '%8)';
VACUUM dup;
INSERT INTO dup SELECT 3, '' FROM generate_series(1, 1500) g;

-- The same on a text key whose tuples leave padding behind, and a unique key.
CREATE TABLE duptext (k text, u int UNIQUE);
CREATE INDEX duptext_k ON duptext (k);
INSERT INTO duptext SELECT repeat('k', 1 + g % 3), g FROM generate_series(1, 900) g;
DELETE FROM duptext WHERE u % 10 IN (2, 3, 5);
VACUUM duptext;
INSERT INTO duptext SELECT repeat('k', 1 + g % 5), -g FROM generate_series(1, 900) g;

-- DELETE of tuples that an index scan found dead, alone and out of posting lists.
CREATE TABLE killed (k int, v int);
CREATE INDEX killed_k ON killed (k);
INSERT INTO killed SELECT g, 0 FROM generate_series(1, 366) g;
DELETE FROM killed WHERE k % 2 = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM killed WHERE k > 0;
INSERT INTO killed SELECT 100, g FROM generate_series(1, 400) g;
-- Bottom-up deletion: versions of a row that no one sees any more, some of them in
-- posting lists with others that stay.
CREATE TABLE versions (id int, other int) WITH (fillfactor = 50);
CREATE INDEX versions_id ON versions (id);
CREATE INDEX versions_other ON versions (other);
INSERT INTO versions SELECT g % 50, g FROM generate_series(1, 200) g;
DO $$ BEGIN
  FOR i IN 1..12 LOOP
    UPDATE versions SET other = other + 1000;
    COMMIT;
  END LOOP;
END $$;
