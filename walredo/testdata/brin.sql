-- Every record of a BRIN index.
SET synchronous_commit = off;
-- A row a page, so that ranges of one page come to more than a page of the range map.
CREATE TABLE ranges (k text COLLATE "C", n int, pad text);
ALTER TABLE ranges ALTER k SET STORAGE PLAIN, ALTER pad SET STORAGE PLAIN;
INSERT INTO ranges SELECT lpad(g::text, 6, '0'), g, repeat('x', 7000) FROM generate_series(1, 1500) g;
CREATE TABLE grown (k text COLLATE "C", n int, pad text) WITH (autovacuum_enabled = off);
ALTER TABLE grown ALTER k SET STORAGE PLAIN, ALTER pad SET STORAGE PLAIN;
INSERT INTO grown SELECT 'm', g, repeat('x', 4500) FROM generate_series(1, 60) g;
-- record
SET synchronous_commit = off;
SET wal_consistency_checking = brin;
-- CREATE_INDEX, INSERT and INSERT+INIT, REVMAP_EXTEND; the second extension has tuples
-- in its way and moves them.
CREATE INDEX ranges_k ON ranges USING brin (k, n) WITH (pages_per_range = 1);
-- SAMEPAGE_UPDATE.
UPDATE ranges SET n = n + 10000 WHERE n < 40;
-- DESUMMARIZE, INSERT where the tuple was.
SELECT brin_desummarize_range('ranges_k', g) FROM generate_series(3, 30, 3) g;
SELECT brin_summarize_range('ranges_k', g) FROM generate_series(3, 30, 3) g;
-- UPDATE and UPDATE+INIT: tuples that outgrow their page.
CREATE INDEX grown_k ON grown USING brin (k) WITH (pages_per_range = 1);
INSERT INTO grown SELECT repeat('z', 1500), g, '' FROM generate_series(1, 300) g;
INSERT INTO grown SELECT repeat('a', 1000) || g, g, '' FROM generate_series(1, 200) g;
UPDATE grown SET k = repeat('~', 2000) WHERE n % 7 = 0;
SELECT brin_summarize_new_values('grown_k');
-- Several ranges of a table that grows, and VACUUM.
CREATE TABLE series (n int, at timestamp);
CREATE INDEX series_n ON series USING brin (n, at) WITH (pages_per_range = 2, autosummarize = off);
CREATE INDEX series_bloom ON series USING brin (n int4_bloom_ops, at timestamp_minmax_multi_ops) WITH (pages_per_range = 4);
INSERT INTO series SELECT g, '2000-01-01'::timestamp + g * interval '1 s' FROM generate_series(1, 2000) g;
VACUUM series;
INSERT INTO series SELECT g, '2000-01-01'::timestamp + g * interval '1 s' FROM generate_series(2000, 1, -1) g;
VACUUM series;
CREATE UNLOGGED TABLE unlogged (n int);
CREATE INDEX unlogged_n ON unlogged USING brin (n);
