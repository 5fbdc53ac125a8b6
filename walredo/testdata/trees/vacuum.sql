\set from random(1, 60000)
\set what random(1, 3)
\if :what = 1
DELETE FROM b WHERE id BETWEEN :from AND :from + 3000;
\endif
VACUUM b;
CHECKPOINT;
\sleep 100 ms
