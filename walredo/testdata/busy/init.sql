-- What the other scripts here work on.
CREATE EXTENSION dblink;
CREATE TABLE acc (id int PRIMARY KEY, bal int, filler text) WITH (fillfactor = 90);
INSERT INTO acc SELECT g, 0, repeat('f', g % 80) FROM generate_series(1, 3000) g;
CREATE TABLE hist (id serial, acc int REFERENCES acc, delta int, at timestamptz DEFAULT now());
CREATE TABLE few (id int PRIMARY KEY, v int, t text);
INSERT INTO few SELECT g, 0, NULL FROM generate_series(1, 20) g;
CREATE UNLOGGED TABLE unlogged (i int PRIMARY KEY);
CREATE TABLE ups (k int PRIMARY KEY, n int);
