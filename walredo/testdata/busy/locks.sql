-- Rows that several lock in several ways, within subtransactions too.
\set a random(1, 20)
\set b random(1, 20)
\set what random(1, 8)
BEGIN;
SELECT v FROM few WHERE id = :a FOR KEY SHARE;
SAVEPOINT s;
\if :what <= 2
SELECT v FROM few WHERE id = :b FOR SHARE SKIP LOCKED;
\elif :what <= 4
UPDATE few SET v = v + 1 WHERE id = (SELECT id FROM few WHERE id = :a FOR NO KEY UPDATE SKIP LOCKED);
\elif :what <= 5
UPDATE few SET t = repeat('t', :b * 100) WHERE id = (SELECT id FROM few WHERE id = :a FOR NO KEY UPDATE SKIP LOCKED);
\elif :what <= 6
SELECT v FROM few WHERE id = :a FOR UPDATE SKIP LOCKED;
\endif
\if :what % 3 = 0
ROLLBACK TO s;
\else
RELEASE s;
\endif
INSERT INTO ups VALUES (:b, 1) ON CONFLICT (k) DO UPDATE SET n = ups.n + 1;
\if :what % 4 = 0
ROLLBACK;
\else
COMMIT;
\endif
