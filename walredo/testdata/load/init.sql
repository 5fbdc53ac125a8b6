-- What the other scripts here work on: one table under every kind of index of ours.
CREATE EXTENSION IF NOT EXISTS bloom;
CREATE TABLE a (id serial PRIMARY KEY, k int, t text, v int) WITH (fillfactor = 80);
ALTER TABLE a ALTER t SET STORAGE PLAIN;
CREATE INDEX a_k ON a (k);
CREATE INDEX a_t ON a (t);
CREATE INDEX a_kt ON a (k, t) INCLUDE (v);
CREATE UNIQUE INDEX a_u ON a (k, id);
CREATE INDEX a_hash ON a USING hash (k);
CREATE INDEX a_hash_t ON a USING hash (t);
CREATE INDEX a_brin ON a USING brin (k, t) WITH (pages_per_range = 1);
CREATE INDEX a_bloom ON a USING bloom (k, v);
INSERT INTO a (k, t, v) SELECT g % 50, repeat(chr(97 + g % 5), g % 200), 0 FROM generate_series(1, 1000) g;
