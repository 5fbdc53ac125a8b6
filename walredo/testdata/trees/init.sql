-- What the other scripts here work on: one table under GIN, GiST and SP-GiST.
CREATE EXTENSION btree_gist;
CREATE TABLE b (id serial PRIMARY KEY, k int[], w text[], p point, r int4range, t text) WITH (fillfactor = 80);
CREATE INDEX b_k_list ON b USING gin (k) WITH (gin_pending_list_limit = 64);
CREATE INDEX b_k ON b USING gin (k) WITH (fastupdate = off);
CREATE INDEX b_w ON b USING gin (w) WITH (fastupdate = off);
CREATE INDEX b_p ON b USING gist (p);
CREATE INDEX b_r ON b USING gist (r, t) INCLUDE (id);
CREATE INDEX b_quad ON b USING spgist (p);
CREATE INDEX b_kd ON b USING spgist (p kd_point_ops);
CREATE INDEX b_range ON b USING spgist (r);
CREATE INDEX b_radix ON b USING spgist (t) INCLUDE (id);
CREATE FUNCTION add(a int, n int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO b (k, w, p, r, t)
  SELECT ARRAY[1, g % 5, a, a * g % 3000],
         ARRAY[repeat(md5((a % 60)::text), 12), md5(g::text)],
         CASE WHEN g % 9 > 0 THEN point(a * 37 % 300, g * a % 71) END,
         int4range(a % 500, a % 500 + 1 + g % 40),
         CASE a % 7 WHEN 0 THEN NULL WHEN 1 THEN md5((a * g)::text)
           WHEN 2 THEN repeat('long', 5 + a) || g ELSE left('abcdefghijklmnop', a % 16) || chr(33 + g * a % 90) || a END
  FROM generate_series(1, n) g
$$;
SELECT add(a, 3) FROM generate_series(1, 1500) a;
