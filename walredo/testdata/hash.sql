-- Every record of a hash index. A page that is freed or split is made anew, which takes
-- its LSN away and gives it a full-page image; without these it is redone.
-- config: full_page_writes=off
SET synchronous_commit = off;

-- Built on an empty table: INIT_META_PAGE, INIT_BITMAP_PAGE. Then many keys: INSERT, and
-- buckets split: SPLIT_ALLOCATE_PAGE, SPLIT_PAGE, SPLIT_COMPLETE, with the bucket's old
-- page cleaned up: DELETE, SPLIT_CLEANUP.
CREATE TABLE keys (k int);
CREATE INDEX keys_k ON keys USING hash (k) WITH (fillfactor = 10);
SET wal_consistency_checking = hash;
INSERT INTO keys SELECT g FROM generate_series(1, 60) g;
SET wal_consistency_checking = '';
INSERT INTO keys SELECT g FROM generate_series(61, 900) g;
SET wal_consistency_checking = hash;
INSERT INTO keys SELECT g FROM generate_series(901, 960) g;

-- One bucket of many pages: ADD_OVFL_PAGE. With rows gone from all over it VACUUM moves
-- the rest together: DELETE, MOVE_PAGE_CONTENTS, SQUEEZE_PAGE, UPDATE_META_PAGE.
SET wal_consistency_checking = '';
CREATE TABLE chain (k int, n int);
CREATE INDEX chain_k ON chain USING hash (k);
INSERT INTO chain SELECT g % 3, g FROM generate_series(1, 6000) g;
SET wal_consistency_checking = hash;
DELETE FROM chain WHERE n % 3 = 0;
VACUUM chain;
SET wal_consistency_checking = '';
DELETE FROM chain WHERE n > 2200 AND n < 5500;
SET wal_consistency_checking = hash;
VACUUM chain;
-- Freed overflow pages are used again.
SET wal_consistency_checking = '';
INSERT INTO chain SELECT 1, g FROM generate_series(1, 1200) g;
SET wal_consistency_checking = hash;
INSERT INTO chain SELECT 2, g FROM generate_series(1, 500) g;
DELETE FROM chain;
VACUUM chain;

-- Tuples that an index scan found dead make room before a page is added:
-- VACUUM_ONE_PAGE.
SET wal_consistency_checking = '';
CREATE TABLE killed (k int, n int);
CREATE INDEX killed_k ON killed USING hash (k);
INSERT INTO killed SELECT 1, g FROM generate_series(1, 407) g;
DELETE FROM killed WHERE n % 2 = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM killed WHERE k = 1;
SET wal_consistency_checking = hash;
INSERT INTO killed SELECT 1, g FROM generate_series(1, 20) g;

-- Built on a table with rows: the pages come as images, then records go on from there.
SET wal_consistency_checking = '';
CREATE INDEX chain_n ON chain USING hash (n);
CREATE TABLE filled AS SELECT g AS k FROM generate_series(1, 3000) g;
CREATE INDEX filled_k ON filled USING hash (k);
SET wal_consistency_checking = hash;
INSERT INTO filled SELECT g FROM generate_series(1, 300) g;
-- Built for more rows than there are: so many buckets that a splitpoint has phases.
CREATE TABLE guessed AS SELECT 1 AS k;
ANALYZE guessed;
UPDATE pg_class SET reltuples = 400000 WHERE oid = 'guessed'::regclass;
CREATE INDEX guessed_k ON guessed USING hash (k);
-- Of an unlogged table: the init fork.
CREATE UNLOGGED TABLE unlogged (k int);
CREATE INDEX unlogged_k ON unlogged USING hash (k);
-- Images of pages that a record changes further: SPLIT_ALLOCATE_PAGE, SPLIT_COMPLETE.
ALTER SYSTEM SET full_page_writes = on;
SELECT pg_reload_conf();
CHECKPOINT;
INSERT INTO keys SELECT g FROM generate_series(961, 1300) g;
DELETE FROM filled WHERE k % 10 > 2;
VACUUM filled;
