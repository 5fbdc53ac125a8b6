-- A hash index with more overflow pages than a bitmap page has bits, 32768: ADD_OVFL_PAGE
-- with a new bitmap page. To have that many takes 13 million rows, so the metapage is
-- told that they are there (hashm_firstfree, hashm_spares[3]), and the file is made as
-- long; they all count as in use. No one ever reads them.
-- oracle: no, it would read 256 MiB of zeros several times
CREATE TABLE many (k int);
CREATE INDEX many_k ON many USING hash (k);
INSERT INTO many SELECT 1 FROM generate_series(1, 400);
CHECKPOINT;
SELECT format($$COPY (SELECT) TO PROGRAM 'f=%s;
truncate -s %s "$f" &&
printf "\000\200\000\000" | dd of="$f" bs=1 seek=64 conv=notrunc status=none &&
printf "\000\200\000\000" | dd of="$f" bs=1 seek=88 conv=notrunc status=none'$$,
pg_relation_filepath('many_k'), 32780 * 8192) \gexec
-- record
SET wal_consistency_checking = hash;
INSERT INTO many SELECT 1 FROM generate_series(1, 30);
