#!/usr/bin/env bash
# Run by `zenith pg exec`: every btree index against its table, every table with its TOAST, and a
# dump of the schema, of every database. Prints what is wrong; the number of indexes is the last line.
set -uo pipefail

bin=${PG_DISTRIB:-/usr/lib/postgresql/15}/bin
status=0 indexes=0
for db in $("$bin/psql" -XAtc "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0'"); do
	found=$("$bin/psql" -XqAt -d "$db" -v ON_ERROR_STOP=1 2>&1 <<'SQL'
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA pg_catalog;
CREATE TEMP TABLE bad (what text);
DO $$
DECLARE r record;
BEGIN
	FOR r IN SELECT c.oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p' AND i.indisvalid AND i.indisready
	LOOP
		BEGIN
			PERFORM bt_index_check(r.oid, true);
		EXCEPTION WHEN undefined_function THEN -- an expression's function does not find another without its search_path
		WHEN OTHERS THEN
			INSERT INTO bad VALUES (r.oid::regclass || ': ' || sqlerrm);
		END;
	END LOOP;
	FOR r IN SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'heap' AND c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'
	LOOP
		BEGIN
			INSERT INTO bad SELECT r.oid::regclass || ' ' || blkno || '.' || coalesce(offnum, 0) || ': ' || msg
				FROM verify_heapam(r.oid, check_toast := true);
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO bad VALUES (r.oid::regclass || ': ' || sqlerrm);
		END;
	END LOOP;
END $$;
SELECT * FROM bad;
SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree';
SQL
	)
	if [[ $found =~ ^[0-9]+$ ]]; then
		indexes=$((indexes + found))
	else
		status=1
		printf '%s: %s\n' "$db" "$found"
	fi
	if ! dump=$("$bin/pg_dump" -s -d "$db" 2>&1 >/dev/null); then
		status=1
		printf 'pg_dump %s: %s\n' "$db" "$dump"
	fi
done
echo "$indexes"
exit $status
