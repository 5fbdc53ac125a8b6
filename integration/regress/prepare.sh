#!/usr/bin/env bash
# prepare.sh DIR: PostgreSQL's regression and isolation suites, ready to run, in DIR:
#   DIR/regress, DIR/isolation   the suites
#   DIR/dl                       regress.so and what else the suite loads
# The suites come from PostgreSQL's source: of REGRESS_SRC, or else of the Debian source package
# nearest to the installed server, fetched from where this machine's packages come from. Nothing
# of the system changes: the list with deb-src is apt's for these few commands only.
set -euo pipefail

dir=$1
distrib=${PG_DISTRIB:-/usr/lib/postgresql/15}
mkdir -p "$dir/dl" "$dir/apt/lists/partial" "$dir/fetch"
[ ! -e "$dir/ready" ] || exit 0
chmod 755 "$dir"

fetch_source() {
	apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
		sort -u >"$dir/apt/sources"
	[ -s "$dir/apt/sources" ] || { echo "apt knows no Debian archive; set REGRESS_SRC" >&2; exit 1; }
	local opts=(-o Dir::Etc::SourceList="$dir/apt/sources" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache::srcpkgcache="" -o Dir::Cache::pkgcache="" -o APT::Sandbox::User=root)
	cd "$dir/fetch"
	apt-get -qq "${opts[@]}" update
	# The archive may have dropped the source of the very version that is installed.
	for version in $(apt-cache "${opts[@]}" showsrc postgresql-15 | sed -n 's/^Version: //p' | sort -rVu); do
		if apt-get -qq "${opts[@]}" source "postgresql-15=$version" >apt.log 2>&1; then return; fi
		cat apt.log >&2
	done
	echo "no source of postgresql-15; set REGRESS_SRC" >&2
	exit 1
}

# The server's headers, for regress.so: the package is only unpacked.
fetch_headers() {
	cd "$dir/fetch"
	apt-get -qq -o APT::Sandbox::User=root download postgresql-server-dev-15
	dpkg -x postgresql-server-dev-15_*.deb "$dir/headers"
}

src=${REGRESS_SRC:-}
if [ -z "$src" ]; then
	(fetch_source)
	src=$(echo "$dir"/fetch/postgresql-15-*/)
fi
(fetch_headers)
rm -rf "$dir/regress" "$dir/isolation"
cp -r "$src/src/test/regress" "$src/src/test/isolation" "$dir/"
gcc -O2 -fPIC -shared -o "$dir/dl/regress.so" -I"$dir/headers/usr/include/postgresql/15/server" \
	-I"$dir/headers/usr/include/postgresql" -I/usr/include/postgresql "$dir/regress/regress.c"
ln -sf "$distrib"/lib/{autoinc,refint}.so "$dir/dl/"
chmod -R a+rX "$dir/regress" "$dir/isolation" "$dir/dl"
grep -m1 -o "PACKAGE_VERSION='[^']*'" "$src/configure" | cut -d"'" -f2 >"$dir/version"
rm -rf "$dir/fetch" "$dir/apt" "$dir/headers"
touch "$dir/ready"
