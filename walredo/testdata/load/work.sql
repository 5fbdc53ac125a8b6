\set k random_zipfian(1, 200, 1.1)
\set n random(1, 200)
\set c random(0, 5)
\set what random(1, 12)
\if :what <= 4
INSERT INTO a (k, t, v) VALUES (:k, repeat(chr(97 + :c), :n), :n);
\elif :what <= 6
UPDATE a SET v = v + 1 WHERE id IN (SELECT id FROM a WHERE k = :k LIMIT 5);
\elif :what <= 7
DELETE FROM a WHERE id IN (SELECT id FROM a WHERE k = :k LIMIT 6);
\elif :what <= 8
BEGIN;
INSERT INTO a (k, t, v) SELECT :k, repeat(chr(97 + :c), :n), g FROM generate_series(1, 20) g;
ROLLBACK;
\elif :what <= 9
UPDATE a SET k = :k, t = repeat(chr(97 + :c), :n) WHERE id IN (SELECT id FROM a WHERE k = :n LIMIT 3);
\elif :what <= 10
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM a WHERE k BETWEEN :k AND :k + 3;
SELECT count(*) FROM a WHERE t = repeat(chr(97 + :c), :n);
COMMIT;
\elif :what <= 11
UPDATE a SET v = v + 1 WHERE k = :n;
\else
SELECT brin_desummarize_range('a_brin', :c);
\endif
