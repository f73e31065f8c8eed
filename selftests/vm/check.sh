#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What "make check" runs: the style, the library's own tests on this machine,
# and selftests/ in a VM on each kernel of the list. The environment:
#   KERNEL   only these flavours            TESTS  only these programs, in VMs
#   FORCE=1  a skip is a failure (CI too)   RPCCANCEL_NIGHTLY=1  the long run
# The TAP of each part is kept in build/check.

. "$(dirname "$0")/common.sh"

read -ra kernels <<<"${KERNEL:-$(flavours | xargs)}"
read -ra tests <<<"${TESTS-}"
for k in "${kernels[@]}"; do
	check_flavour "$k"
done
force=
[ "${FORCE:-0}" = 0 ] || force=y
[ "${CI:-false}" = false ] || force=y
# Seconds for each kernel: all three must end within half an hour.
limit=540
[ -z "${RPCCANCEL_NIGHTLY-}" ] || limit=10800

out=$build/check
rm -rf "$out"
mkdir -p "$out"
parts=() rows=()
passed=0 failed=0 skipped=0

# part NAME COMMAND...: run it, show its TAP, add a row to the table.
part()
{
	local name=$1 start=$SECONDS status=0 p f s
	local tap=$out/$1.tap results=$out/$1.results
	shift
	printf '# === %s\n' "$name"
	"$@" 2>&1 | tee "$tap" || status=${PIPESTATUS[0]}
	gawk -f "$vm/tap.awk" "$tap" >"$results"
	if [ "$status" != 0 ] && ! grep -q '^FAIL' "$results"; then
		echo "FAIL it ended with status $status" >>"$results"
	elif [ ! -s "$results" ]; then
		echo "FAIL it has no result" >>"$results"
	fi
	[ -z "$force" ] || sed -i 's/^SKIP /FAIL skipped, and FORCE is set: /' "$results"
	p=$(grep -c '^PASS' "$results") || :
	f=$(grep -c '^FAIL' "$results") || :
	s=$(grep -c '^SKIP' "$results") || :
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	parts+=("$name")
	rows+=("$(printf '%-44s %7s %7s %8s %8s' "$name$(booted "$tap")" \
		"$p" "$f" "$s" "$((SECONDS - start))")")
}

# " RELEASE ACCELERATOR", if a kernel was booted.
booted()
{
	sed -n 's/^# booting \([^ ]*\) ([^,]*, \(.*\))$/ \1 \2/p' "$1"
}

library()
{
	make -s -C "$top/libuser" check
}

# The overrides of kselftest's variables that make it run only $TESTS.
selection()
{
	local t progs='' scripts='' all
	[ ${#tests[@]} -gt 0 ] || return 0
	all=$(make -s -C "$top/selftests" emit_tests | sed -n 's/^[^ ]*://p')
	for t in "${tests[@]}"; do
		grep -qxF -- "$t" <<<"$all" ||
			die "no test '$t'; there are: $(xargs <<<"$all")"
		case $t in
		*.sh) scripts+=" $t" ;;
		*) progs+=" /rpccancel/selftests/$t" ;;
		esac
	done
	printf '%s\n' "TEST_GEN_PROGS=$progs" "TEST_PROGS=$scripts" \
		TEST_CUSTOM_PROGS= TEST_GEN_PROGS_EXTENDED=
}

kernel()
{
	local variant
	"$vm/build-module.sh" "$1" hold >"$out/log" || return
	for variant in '' test backoff; do
		if "$vm/build-module.sh" "$1" $variant >"$out/log" 2>&1; then
			echo "ok - rpccancel.ko${variant:+ ($variant)} builds without a warning"
		else
			cat "$out/log"
			echo "not ok - rpccancel.ko${variant:+ ($variant)} builds without a warning"
			return 1
		fi
	done
	"$vm/run.sh" -k "$1" -t $limit -l "$out/$1.console" \
		make -s -C selftests run_tests KSFT_DIR=/rpccancel "${select[@]}"
}

"$vm/setup.sh"
"$vm/fetch.sh" --kselftest
"$vm/fetch.sh" "${kernels[@]}" "$default_flavour"
make -s -C "$top/libuser"
list=$(selection)
select=()
if [ -z "$list" ]; then
	make -s -C "$top/selftests"
	make -s -C "$top/selftests/demo"
else	# the others may be in the middle of being written
	mapfile -t select <<<"$list"
	for t in "${tests[@]}"; do
		[[ $t = *.sh ]] || make -s -C "$top/selftests" "$top/selftests/$t"
	done
	make -s -k -C "$top/selftests" >/dev/null 2>&1 ||
		say "not everything in selftests/ builds"
fi

if [ ${#tests[@]} = 0 ]; then
	part style "$vm/../style/style.sh"
	part library library
fi
for k in "${kernels[@]}"; do
	part "$k" kernel "$k"
done

echo
printf '%-44s %7s %7s %8s %8s\n' '' passed failed skipped seconds
printf '%s\n' "${rows[@]}"
for p in "${parts[@]}"; do
	sed -n "s/^FAIL /failed   $p: /p; s/^SKIP /skipped  $p: /p" "$out/$p.results"
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
