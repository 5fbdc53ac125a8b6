#!/usr/bin/env bash
# Shows the main job of zenith on real data, in about a minute: an accident in a database, and how the table
# comes back as it was just before. Prints what it does, and leaves nothing running.
set -euo pipefail

zenith=$(cd "$(dirname "$0")/.." && pwd)/bin/zenith
home=$(mktemp -d "${TMPDIR:-/tmp}/zenith-quickstart.XXXXXX")
chmod 755 "$home" # if root runs this, postgres runs as another user, who must be able to enter
work=$home/.zenith

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '  $ %s\n' "${*//$home\//}"; }
indent() { sed 's/^/    /'; }
run() { show "${@/#$pgbin\//}"; "$@" | indent; }
z() { show zenith "$@"; "$zenith" -D "$work" "$@" | indent; }

cleanup() {
	status=$?
	"$zenith" -D "$work" umount "$home/past" >/dev/null 2>&1 || true
	"$zenith" -D "$work" stop >/dev/null 2>&1 || true
	if [ $status -ne 0 ] && [ -f "$work/pageserver.log" ]; then
		echo "--- the page server's log:" >&2
		tail -n 40 "$work/pageserver.log" >&2
	fi
	rm -rf "$home"
	exit $status
}
trap cleanup EXIT

sql() { # sql URL STATEMENT: runs it with psql and prints the answer
	printf '  $ psql -c "%s"\n' "$2"
	"$pgbin/psql" "$1" -XAt -v ON_ERROR_STOP=1 -c "$2" | indent
}

say "1. A repository for databases: like 'git init', with a fresh PostgreSQL cluster as its first content."
z init ${PG_DISTRIB:+--pg-distrib "$PG_DISTRIB"}
# Without PG_DISTRIB it has chosen the newest PostgreSQL that is installed.
pgbin=$(sed -nE 's/^pg_distrib = "(.*)"$/\1/p' "$work/config")/bin
"$pgbin/postgres" --version | indent

say "2. The page server keeps the history and serves it as files."
z start

say "3. Stock PostgreSQL, on the branch 'main': its data directory is a mount, its WAL is our history."
show zenith pg start main
main=$("$zenith" -D "$work" pg start main | tail -n 1)
echo "    $main"

say "4. Some life: pgbench fills 1,000,000 accounts and runs transactions."
"$pgbin/pgbench" -i -s 10 -q "$main" 2>&1 | tail -n 1 | sed 's/^/    /'
"$pgbin/pgbench" -c 4 -j 2 -T 5 -n "$main" 2>/dev/null | grep -E 'tps|processed' | sed 's/^/    /'
sql "$main" "SELECT count(*), sum(abalance) FROM pgbench_accounts"

before=$("$pgbin/psql" "$main" -XAtc "SELECT pg_current_wal_insert_lsn()")
say "5. The accident, at WAL position $before: a DELETE that forgot its WHERE."
sql "$main" "DELETE FROM pgbench_accounts"
sql "$main" "SELECT count(*) FROM pgbench_accounts"

say "6. A branch from just before it. Nothing is copied: this takes no time and no space."
z branch rescue "main@$before"
z branch

say "7. Stock PostgreSQL on the branch: it starts at once, without recovery, and the rows are there."
show zenith pg start rescue
rescue=$("$zenith" -D "$work" pg start rescue | tail -n 1)
echo "    $rescue"
sql "$rescue" "SELECT count(*), sum(abalance) FROM pgbench_accounts"
sql "$rescue" "UPDATE pgbench_accounts SET abalance = 0 WHERE aid = 1"
echo "  main goes on, untouched by what the branch does:"
sql "$main" "SELECT count(*) FROM pgbench_accounts"

say "8. Or, without a branch: one command takes a table out of the past and puts it back."
show "zenith pg exec main@$before -- pg_dump -t pgbench_accounts --data-only | psql"
"$zenith" -D "$work" pg exec "main@$before" -- "$pgbin/pg_dump" -t pgbench_accounts --data-only \
	| "$pgbin/psql" "$main" -Xq -v ON_ERROR_STOP=1 -o /dev/null
sql "$main" "SELECT count(*), sum(abalance) FROM pgbench_accounts"

say "9. Any state is also just files: the data directory as it was at $before, read-only."
z mount "main@$before" "$home/past"
run ls "$home/past"
run "$pgbin/pg_controldata" "$home/past" | grep -E 'pg_controldata|cluster state|checkpoint location|NextXID'
z umount "$home/past"

say "10. Everything stopped and unmounted."
z pg list
z pg stop rescue
z pg stop main
z stop
echo
echo "That is all. 'zenith --help' has the rest; README.md says how it works."
