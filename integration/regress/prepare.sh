#!/usr/bin/env bash
# prepare.sh DIR [MAJOR]: PostgreSQL's regression and isolation suites, ready to run on that major (default: 15), in DIR:
#   DIR/regress, DIR/isolation   the suites
#   DIR/dl                       regress.so and what else the suite loads
#   DIR/version                  the release that the suites are of
# Debian has the sources of 15 and 18. For another major the nearer one's suite is a load: its SQL, and not its expected output.
# The suites come from the tree in REGRESS_SRC, or else from the Debian source package nearest to the installed server,
# fetched from where this machine's packages come from. Nothing of the system changes: the lists are apt's for these few commands only.
set -euo pipefail

dir=$1
major=${2:-15}
for distrib in "${PG_DISTRIB:-}" "/usr/lib/postgresql/$major" "${ZENITH_PG_ROOT:-/opt/zenith-pg}/$major"; do
	[ ! -x "$distrib/bin/postgres" ] || break
done
mkdir -p "$dir/dl" "$dir/apt/lists/partial" "$dir/apt/arch/partial" "$dir/fetch"
[ ! -e "$dir/ready" ] || exit 0
chmod 755 "$dir"

case $major in 14 | 15 | 16) suite=15 ;; *) suite=18 ;; esac
declare -A archives=([15]='bookworm bookworm-security' [17]='trixie trixie-security' [18]='forky sid' [19]='experimental sid')

# use_archives NAMES: apt knows these archives of Debian from here on, and no others.
use_archives() {
	local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg name
	mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
		sed -nE 's/^(deb|URIs:) +(\[[^]]*\] +)?//p' | tr ' ' '\n' | grep -E '/debian/?$' | sort -u | head -n1)
	[ "$mirror" ] || { echo "apt knows no Debian archive; set REGRESS_SRC" >&2; exit 1; }
	for name in "$@"; do
		local from=${mirror%/}
		[[ $name != *-security ]] || from+=-security
		for kind in deb deb-src; do
			echo "$kind $([ ! -e $keyring ] || echo "[signed-by=$keyring]") $from $name main"
		done
	done >"$dir/apt/sources"
	apt=(-qq -o "Dir::Etc::SourceList=$dir/apt/sources" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/apt/lists"
		-o Dir::State::status=/dev/null -o "Dir::Cache=$dir/apt/arch" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache=
		-o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
	apt-get "${apt[@]}" update
}

fetch_source() {
	local version
	use_archives ${archives[$suite]}
	cd "$dir/fetch"
	# The archive may have dropped the source of the very version that is installed.
	for version in $(apt-cache "${apt[@]}" showsrc "postgresql-$suite" | sed -n 's/^Version: //p' | sort -rVu); do
		if apt-get "${apt[@]}" source "postgresql-$suite=$version" >apt.log 2>&1; then return; fi
		cat apt.log >&2
	done
	echo "no source of postgresql-$suite; set REGRESS_SRC" >&2
	exit 1
}

# The server's headers, for regress.so: the package is only unpacked.
fetch_headers() {
	use_archives ${archives[$major]}
	cd "$dir/fetch"
	apt-get "${apt[@]}" download "postgresql-server-dev-$major"
	dpkg-deb -x "postgresql-server-dev-${major}"_*.deb "$dir/headers"
}

src=${REGRESS_SRC:-}
if [ -z "$src" ]; then
	(fetch_source)
	src=$(echo "$dir/fetch/postgresql-$suite"-*/)
fi
rm -rf "$dir/regress" "$dir/isolation"
cp -r "$src/src/test/regress" "$src/src/test/isolation" "$dir/"
# Without regress.so the tests that need it fail, and the rest is load enough: Debian has no headers of 14 and 16, and
# 18's regress.c does not compile with 17's.
if [ "${archives[$major]:-}" ] && [ "$major" != 17 ]; then
	(fetch_headers)
	gcc -O2 -fPIC -shared -o "$dir/dl/regress.so" -I"$dir/headers/usr/include/postgresql/$major/server" \
		-I"$dir/headers/usr/include/postgresql" -I/usr/include/postgresql "$dir/regress/regress.c"
fi
for lib in autoinc refint; do
	for path in "$distrib"/lib{,/postgresql}/$lib.so; do
		[ ! -e "$path" ] || ln -sf "$path" "$dir/dl/"
	done
done
chmod -R a+rX "$dir/regress" "$dir/isolation" "$dir/dl"
grep -m1 -o "PACKAGE_VERSION='[^']*'" "$src/configure" | cut -d"'" -f2 >"$dir/version"
rm -rf "$dir/fetch" "$dir/apt" "$dir/headers"
touch "$dir/ready"
