\set from random(1, 200)
\set what random(1, 6)
VACUUM a;
SELECT brin_summarize_new_values('a_brin');
\if :what = 1
DELETE FROM a WHERE k BETWEEN :from AND :from + 60;
\elif :what = 2
DELETE FROM a WHERE t LIKE 'c%';
\endif
CHECKPOINT;
\sleep 100 ms
