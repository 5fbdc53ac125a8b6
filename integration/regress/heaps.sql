-- Every btree index against its table, every row of which must be in it, and every table with its
-- TOAST. Prints what is wrong, and last how many indexes there are.
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
SELECT 'used btree ' || count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree';
