# shellcheck shell=bash
# What the tests of the static file share: it is built once, by whichever of them comes first.
# To be sourced behind lib.sh.

# static_make TARGET: `make static` or `make dist-static`; what it said is in $T/make
static_make() {
	command -v apt-get >/dev/null || {
		echo "1..0 # SKIP the static file is built from Debian's sources"
		tests_complete=yes
		exit 0
	}
	mkdir -p "$ROOT/build"
	flock "$ROOT/build/static.lock" \
		make -C "$ROOT" --no-print-directory -j 2 WERROR=1 "$1" >"$T/make" 2>&1 </dev/null
}
