-- A visibility map of two pages: bits on the second, cuts within it and between the two.
-- The heap has one row on each of its 32,700 pages.
CREATE TABLE big (i int, t text) WITH (fillfactor = 10);
ALTER TABLE big ALTER t SET STORAGE PLAIN;
INSERT INTO big SELECT g, repeat('b', 800) FROM generate_series(1, 32700) g;
VACUUM (FREEZE) big;
-- record
UPDATE big SET t = 'x' WHERE ctid = '(32671,1)';
UPDATE big SET t = 'y' WHERE ctid = '(32672,1)';
BEGIN; SELECT i FROM big WHERE ctid = '(32673,1)' FOR UPDATE; COMMIT;
DELETE FROM big WHERE ctid IN ('(32670,1)', '(32674,1)');
VACUUM big;
DELETE FROM big WHERE ctid >= '(32690,0)';
VACUUM big;
DELETE FROM big WHERE ctid >= '(32672,0)';
VACUUM big;
INSERT INTO big SELECT g, repeat('c', 800) FROM generate_series(1, 10) g;
VACUUM big;
