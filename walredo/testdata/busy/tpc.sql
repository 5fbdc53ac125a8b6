\set a random(1, 3000)
\set d random(-50, 50)
BEGIN;
UPDATE acc SET bal = bal + :d WHERE id = :a;
INSERT INTO hist (acc, delta) VALUES (:a, :d);
DELETE FROM hist WHERE id IN (SELECT id FROM hist ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED);
COMMIT;
