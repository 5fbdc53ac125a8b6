\set a random(1, 2000)
\set n random(1, 10)
\set what random(1, 12)
\if :what <= 5
SELECT add(:a, :n);
\elif :what <= 6
BEGIN;
SELECT add(:a, 3 * :n);
ROLLBACK;
\elif :what <= 8
DELETE FROM b WHERE id IN (SELECT id FROM b WHERE id % 2000 BETWEEN :a AND :a + :n);
\elif :what <= 9
UPDATE b SET p = point(:a, :n), t = t || '.' WHERE id IN (SELECT id FROM b WHERE id % 2000 BETWEEN :a AND :a + :n LIMIT 9);
\elif :what <= 11
SELECT count(*) FROM b WHERE p <@ box(point(:a % 300, 0), point(:a % 300 + :n, 80));
SELECT count(*) FROM b WHERE r @> :a % 500;
SELECT count(*) FROM (SELECT 1 FROM b ORDER BY p <-> point(:a % 300, :n) LIMIT 300) x;
\else
SELECT count(*) FROM b WHERE k @> ARRAY[:a];
\endif
