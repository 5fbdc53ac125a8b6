-- Every index but btree (amcheck knows those): each of its operators, with values of the table,
-- must find the same rows through the index as without. Prints what is wrong, and last how many
-- indexes of each kind were really used.
SET client_min_messages = error;
CREATE TEMP TABLE bad (what text);
CREATE TEMP TABLE used (am name, index oid);
DO $$
DECLARE
	r record; value text; query text; line text; plan text; found text; want text;
BEGIN
	FOR r IN SELECT c.oid, c.relname, t.oid::regclass AS tab, a.amname, quote_ident(att.attname) AS col,
			format_type(att.atttypid, att.atttypmod) AS type, format('OPERATOR(%I.%s)', n.nspname, op.oprname) AS operator,
			coalesce(' AND (' || pg_get_expr(i.indpred, i.indrelid) || ')', '') AS pred, op.oprleft = 'tsvector'::regtype AS search
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam JOIN pg_class t ON t.oid = i.indrelid
			JOIN pg_attribute att ON att.attrelid = t.oid AND att.attnum = i.indkey[0]
			JOIN pg_opclass oc ON oc.oid = i.indclass[0]
			JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amoppurpose = 's' AND ao.amoplefttype = oc.opcintype
			JOIN pg_operator op ON op.oid = ao.amopopr JOIN pg_namespace n ON n.oid = op.oprnamespace
		WHERE a.amname <> 'btree' AND c.relkind = 'i' AND t.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND i.indisvalid
			AND (ao.amoprighttype = ao.amoplefttype OR op.oprleft = 'tsvector'::regtype AND op.oprright = 'tsquery'::regtype)
	LOOP
		FOR value IN EXECUTE format(CASE WHEN r.search
				THEN 'SELECT plainto_tsquery(''simple'', (tsvector_to_array(%s))[1])::text FROM ONLY %s WHERE length(%1$s) > 0 ORDER BY md5(ctid::text) LIMIT 2'
				ELSE 'SELECT %s::text FROM ONLY %s WHERE %1$s IS NOT NULL ORDER BY md5(ctid::text) LIMIT 2' END, r.col, r.tab)
		LOOP
			query := format('SELECT md5(coalesce(string_agg(ctid::text, '' '' ORDER BY ctid), '''')) FROM ONLY %s WHERE %s %s %L::%s%s',
				r.tab, r.col, r.operator, value, CASE WHEN r.search THEN 'tsquery' ELSE r.type END, r.pred);
			BEGIN
				SET LOCAL enable_seqscan = off;
				SET LOCAL enable_indexscan = on;
				SET LOCAL enable_bitmapscan = on;
				plan := '';
				FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
					plan := plan || line || E'\n';
				END LOOP;
				CONTINUE WHEN plan !~ (' on ' || quote_ident(r.relname) || '( |\n)') AND plan !~ (' using ' || quote_ident(r.relname) || ' ');
				EXECUTE query INTO found;
				SET LOCAL enable_seqscan = on;
				SET LOCAL enable_indexscan = off;
				SET LOCAL enable_bitmapscan = off;
				EXECUTE query INTO want;
				IF found <> want THEN
					INSERT INTO bad VALUES (format('%s index %s finds other rows: %s', r.amname, r.relname, query));
				END IF;
				INSERT INTO used VALUES (r.amname, r.oid);
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO bad VALUES (format('%s index %s: %s: %s', r.amname, r.relname, sqlerrm, query));
			END;
		END LOOP;
	END LOOP;
END $$;
SELECT * FROM bad;
SELECT 'used ' || am || ' ' || count(DISTINCT index) FROM used GROUP BY am ORDER BY am;
