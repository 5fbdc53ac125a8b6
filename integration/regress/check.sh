#!/usr/bin/env bash
# Run by `zenith pg exec`: every btree index against its table, every table with its TOAST, the
# other indexes by what they find, and a dump of the schema, of every database. Prints what is
# wrong; the last line says how many indexes of each kind were looked at.
set -uo pipefail

bin=${PG_DISTRIB:-/usr/lib/postgresql/15}/bin
here=$(dirname "$0")
status=0
declare -A seen

# looked DB: reads what a script printed: "used KIND N" is a count, all else is wrong.
looked() {
	local line
	while read -r line; do
		if [[ $line =~ ^used\ ([a-z]+)\ ([0-9]+)$ ]]; then
			seen[${BASH_REMATCH[1]}]=$((${seen[${BASH_REMATCH[1]}]:-0} + BASH_REMATCH[2]))
		else
			status=1
			printf '%s: %s\n' "$1" "$line"
		fi
	done
}

for db in $("$bin/psql" -XAtc "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0'"); do
	for script in heaps indexes; do
		looked "$db" < <("$bin/psql" -XqAt -d "$db" -v ON_ERROR_STOP=1 -f "$here/$script.sql" 2>&1 || echo "$script.sql: exit $?")
	done
	if ! dump=$("$bin/pg_dump" -s -d "$db" 2>&1 >/dev/null); then
		status=1
		printf 'pg_dump %s: %s\n' "$db" "$dump"
	fi
done
for kind in $(printf '%s\n' "${!seen[@]}" | sort); do
	printf '%s %s ' "$kind" "${seen[$kind]}"
done
echo
exit $status
