-- Every record of SP-GiST. Images are large: what only fills the indexes happens before
-- the recording, which begins with a move of the indexes to another tablespace, as this
-- logs all of their pages.
-- config: full_page_writes=off
-- config: allow_in_place_tablespaces=on
CREATE TABLESPACE elsewhere LOCATION '';
CREATE TABLE radix (id int, v text);
CREATE INDEX radix_v ON radix USING spgist (v);
INSERT INTO radix SELECT g, md5(g::text) FROM generate_series(1, 130) g;
CREATE TABLE nulls (id int, v text);
CREATE INDEX nulls_v ON nulls USING spgist (v);
INSERT INTO nulls SELECT g FROM generate_series(1, 390) g;
CREATE TABLE broad (id int, v text COLLATE "C");
CREATE INDEX broad_v ON broad USING spgist (v);
INSERT INTO broad SELECT g, chr(33 + g % 9) || '-common-' || chr(33 + g * 31 % 90) || chr(33 + g * 7 % 11) || chr(33 + g * 17 % 89) || repeat('e', 200) || g FROM generate_series(1, 4000) g;
CREATE TABLE nested (id int, v text COLLATE "C");
CREATE INDEX nested_v ON nested USING spgist (v);
INSERT INTO nested SELECT g, chr(33 + g % 3) || chr(33 + g * 31 % 90) || chr(33 + g * 7 % 11) || chr(33 + g * 17 % 89) || repeat('e', 20) || g FROM generate_series(1, 9000) g;
-- record
SET synchronous_commit = off;
ALTER INDEX radix_v SET TABLESPACE elsewhere;
ALTER INDEX nulls_v SET TABLESPACE elsewhere;
ALTER INDEX broad_v SET TABLESPACE elsewhere;
ALTER INDEX nested_v SET TABLESPACE elsewhere;
SET wal_consistency_checking = spgist;

-- A root that is a leaf: ADD_LEAF, VACUUM_ROOT. The same for nulls.
CREATE TABLE small (id int, v text);
CREATE INDEX small_v ON small USING spgist (v);
INSERT INTO small SELECT g, CASE WHEN g % 3 > 0 THEN 'v' || g END FROM generate_series(1, 30) g;
DELETE FROM small WHERE id % 4 = 1;
VACUUM small;
-- So many nulls that their tree splits.
INSERT INTO nulls SELECT g FROM generate_series(391, 450) g;
DELETE FROM nulls WHERE id % 3 = 0;
VACUUM nulls;

-- The radix tree: PICKSPLIT of the root and below, MOVE_LEAFS, ADD_NODE.
INSERT INTO radix SELECT g, md5(g::text) FROM generate_series(131, 350) g;
-- Prefixes that turn out to be too long: SPLIT_TUPLE.
INSERT INTO radix SELECT g, 'prefix-in-common-' || repeat('z', g % 9) || md5(g::text) FROM generate_series(1, 90) g;
INSERT INTO radix SELECT g, left('prefix-in-common-', g) || '!' || md5(g::text) FROM generate_series(1, 16) g;
-- Values longer than a page, which come to a new page and split at once.
INSERT INTO radix SELECT g, repeat(chr(64 + g), 5) || repeat('long', 2000 + g * 400) FROM generate_series(1, 4) g;
-- Inner tuples that grow until they have no room where they are: ADD_NODE elsewhere,
-- with the parent on a page of its own or on the page that the tuple leaves.
INSERT INTO broad SELECT g, chr(33 + g % 9) || '-common-' || chr(33 + g * 31 % 93) || chr(33 + g * 7 % 13) || chr(33 + g * 17 % 93) || repeat('f', 200) || g FROM generate_series(1, 150) g;
INSERT INTO broad SELECT g, chr(33 + g % 9) || left('-common-', g % 7) || chr(33 + g * 31 % 93) || repeat('g', 2000) || g FROM generate_series(1, 120) g;
INSERT INTO nested SELECT g, chr(33 + g % 5) || chr(33 + g * 31 % 93) || chr(33 + g * 7 % 13) || chr(33 + g * 17 % 93) || repeat('f', 20) || g FROM generate_series(1, 400) g;

-- VACUUM_LEAF of whole chains and of parts, VACUUM_REDIRECT; then tuples in place of dead
-- ones and of placeholders.
DELETE FROM radix WHERE id % 7 IN (1, 2, 4);
VACUUM radix;
DELETE FROM nested WHERE id % 90 < 70 AND id < 700 OR id % 990 < 12;
VACUUM nested;
SELECT txid_current();
SELECT txid_current();
VACUUM radix;
VACUUM nested;
INSERT INTO radix SELECT g, md5(g::text) FROM generate_series(1, 100) g;
INSERT INTO nested SELECT g, chr(33 + g % 3) || chr(33 + g * 31 % 90) || chr(33 + g * 7 % 11) || chr(33 + g * 17 % 89) || repeat('i', 40 * g) || g FROM generate_series(1, 50) g;
INSERT INTO nested SELECT g, chr(33 + g % 3) || chr(33 + g * 31 % 90) || chr(33 + g * 7 % 11) || chr(33 + g * 17 % 89) || repeat('i', 3000) || g FROM generate_series(990, 1001) g;
DELETE FROM radix;
VACUUM radix;
INSERT INTO radix SELECT g, md5(g::text) FROM generate_series(1, 40) g;
