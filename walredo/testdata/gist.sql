-- Every record of GiST. Images are large: what only fills the indexes happens before
-- the recording, which begins with a move of the indexes to another tablespace, as this
-- logs all of their pages.
-- config: full_page_writes=off
-- config: allow_in_place_tablespaces=on
CREATE TABLESPACE elsewhere LOCATION '';
CREATE EXTENSION btree_gist;
CREATE FUNCTION scatter(g int) RETURNS point LANGUAGE sql IMMUTABLE AS
$$ SELECT point(g * 7919 % 1000, g * 104729::bigint % 1000) $$;
CREATE FUNCTION wide(g int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lpad((g * 7919 % 500)::text, 5, '0') || repeat('x', 180 + g * 31 % 60) $$;
CREATE TABLE points (id int, p point);
CREATE INDEX points_p ON points USING gist (p);
INSERT INTO points SELECT g, scatter(g) FROM generate_series(1, 2000) g;
CREATE TABLE wide (id int, k text COLLATE "C");
CREATE INDEX wide_k ON wide USING gist (k);
INSERT INTO wide SELECT g, wide(g) FROM generate_series(1, 300) g;
CREATE TABLE killed (id int, p point);
CREATE INDEX killed_p ON killed USING gist (p);
INSERT INTO killed SELECT g, point(g % 100, g / 100) FROM generate_series(1, 400) g;
-- record
SET synchronous_commit = off;
ALTER INDEX points_p SET TABLESPACE elsewhere;
ALTER INDEX wide_k SET TABLESPACE elsewhere;
ALTER INDEX killed_p SET TABLESPACE elsewhere;
SET wal_consistency_checking = gist;

-- PAGE_UPDATE: tuples go to a leaf, and where a key grows its parent's tuple is
-- replaced by one of the same size. PAGE_SPLIT of the root, and of leaves.
CREATE TABLE fresh (id int, p point);
CREATE INDEX fresh_p ON fresh USING gist (p);
INSERT INTO fresh SELECT g, scatter(g) FROM generate_series(1, 160) g;
INSERT INTO points SELECT g, scatter(g) FROM generate_series(2001, 2200) g;
-- Keys of changing size: trees are high, inner pages split, parents' tuples get longer.
INSERT INTO wide SELECT g, wide(g) FROM generate_series(301, 900) g;
-- INCLUDE columns and nulls.
CREATE TABLE incl (id int, p point, note text);
CREATE INDEX incl_p ON incl USING gist (p, id) INCLUDE (note);
INSERT INTO incl SELECT g, CASE WHEN g % 5 > 0 THEN point(g % 30, g / 30) END, repeat('n', g % 40) FROM generate_series(1, 130) g;

-- VACUUM: a few tuples, and more than two; empty leaves go (PAGE_DELETE) and, when no
-- transaction can see them any more, are used again (PAGE_REUSE).
DELETE FROM points WHERE id % 100 = 1;
VACUUM points;
DELETE FROM points WHERE p[0] BETWEEN 100 AND 300;
VACUUM points;
DELETE FROM wide WHERE k < '00300';
VACUUM wide;
SELECT txid_current();
SELECT txid_current();
VACUUM points;
VACUUM wide;
INSERT INTO points SELECT g, scatter(g) FROM generate_series(1, 150) g;
INSERT INTO wide SELECT g, wide(g) FROM generate_series(1, 30) g;

-- DELETE: what an index scan found dead goes when its page is full.
DELETE FROM killed WHERE id % 4 > 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM killed WHERE p <@ box '((0,0),(1000,1000))';
INSERT INTO killed SELECT g, point(g % 100, g / 100) FROM generate_series(1, 330) g;

-- Images of pages that a record changes, as after each checkpoint, and changes after
-- those.
ALTER SYSTEM SET full_page_writes = on;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
CHECKPOINT;
INSERT INTO points SELECT g, scatter(g) FROM generate_series(1, 60) g;
INSERT INTO wide SELECT g, wide(g) FROM generate_series(30, 80) g;
