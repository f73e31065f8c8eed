#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: check.sh [GROUP...]
#
# What "make check" runs: selftests/ in a VM on each kernel of the groups (see
# the file kernels; default: stock). With the stock ones also the style; and on
# this machine the library's own tests, those of the run time with itself and with
# what others wrote, the sanitizers, the fuzzer and the model. The environment:
#   KERNEL   these flavours instead         TESTS  only these programs, in VMs
#   FORCE=1  a skip is a failure (CI too)   RPCCANCEL_NIGHTLY=1  the long run
# The TAP of each part is kept in build/check.

. "$(dirname "$0")/common.sh"

groups=("${@:-stock}")
read -ra kernels <<<"${KERNEL:-$(flavours "${groups[@]}" | xargs)}"
read -ra tests <<<"${TESTS-}"
for k in "${kernels[@]}"; do
	check_flavour "$k"
done
force=
[ "${FORCE:-0}" = 0 ] || force=y
[ "${CI:-false}" = false ] || force=y

out=$build/check
rm -rf "$out"
mkdir -p "$out"
passed=0 failed=0 skipped=0

# run NAME COMMAND...: keeps its TAP, how it ended and after how long.
run()
{
	local name=$1 start=$SECONDS status=0
	shift
	"$@" >"$out/$name.tap" 2>&1 || status=$?
	echo "$status $((SECONDS - start))" >"$out/$name.end"
}

# part NAME COMMAND...: the same, and shows the TAP meanwhile.
part()
{
	local pid
	printf '# === %s\n' "$1"
	: >"$out/$1.tap"
	run "$@" &
	pid=$!
	tail -n +1 -f --pid=$pid "$out/$1.tap"
	wait "$pid" || :
}

# all_parts NAME...: what they are called is what they do.
all_parts()
{
	local p
	for p; do
		run "$p" "$p"
	done
}

# report NAME: counts its results and shows a row of the table.
report()
{
	local name=$1 tap=$out/$1.tap results=$out/$1.results
	local status=1 seconds=0 p f s
	[ ! -e "$out/$name.end" ] || read -r status seconds <"$out/$name.end"
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
	printf '%-44s %7s %7s %8s %8s\n' "$name$(booted "$tap")" \
		"$p" "$f" "$s" "$seconds"
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

rpc()
{
	local status=0
	make -s -k -C "$top/selftests/rpc" check interop || status=1
	make -s -C "$top/selftests/demo/calls" check || status=1
	return $status
}

sanitizers()
{
	"$top/selftests/rpc/sanitizers.sh" "$build/sanitizers"
}

fuzz()
{
	local log=$out/fuzz.log f runs status=0
	make -s -k -j2 -C "$top/libuser/fuzz" run \
		SECONDS="${FUZZ_SECONDS:-60}" >"$log" 2>&1 || status=1
	[ $status = 0 ] || cat "$log"
	for f in "$top"/libuser/fuzz/*_fuzz.c; do
		f=$(basename "$f" .c)
		runs=$(sed -n "s/^ *$f: runs: //p" "$log")
		echo "${runs:-not }ok - $f${runs:+: $runs inputs}" |
			sed 's/^[0-9]*ok/ok/'
	done
	return $status
}

model()
{
	"$top/selftests/model/model.sh"
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
		# its folder is not told
		*.sh) scripts+=" $(find "$top/selftests" -name "$t" -printf '%P')" ;;
		*) progs+=" /rpccancel/selftests/$t" ;;
		esac
	done
	printf '%s\n' "TEST_GEN_PROGS=$progs" "TEST_PROGS=$scripts" \
		TEST_CUSTOM_PROGS= TEST_GEN_PROGS_EXTENDED=
}

is_debug()
{
	[ "$(kernel_field "$1" group)" = debug ]
}

# Debug kernels, and those that are emulated whatever the accelerator.
is_slow()
{
	is_debug "$1" || [ "$(kernel_arch "$1")" != amd64 ]
}

# Seconds until a guest counts as hung. An emulated one beside other work takes
# six to eight minutes, a debug kernel there three times as long.
limit()
{
	if [ -n "${RPCCANCEL_NIGHTLY-}" ]; then
		echo 10800
	elif is_slow "$1"; then
		echo 5400
	else
		echo 2700
	fi
}

# Says how long each program has taken.
seconds_per_program()
{
	gawk '
		{ print }
		/^# selftests: / { start = systime() }
		/^(not )?ok [0-9]+ selftests: / {
			print "# " $(/^not/ ? 6 : 5) ": " systime() - start " s"
		}
		{ fflush() }'
}

kernel()
{
	local variant env=(RPCCANCEL_LEAKS=1)
	if is_slow "$1" && [ -z "${RPCCANCEL_NIGHTLY-}" ]; then
		# races, not the 50000 it makes by default
		env+=("KSELFTEST_RACE_ENTRY_TEST_ARGS=${KSELFTEST_RACE_ENTRY_TEST_ARGS-10000}")
	fi
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
	env "${env[@]}" "$vm/run.sh" -k "$1" -t "$(limit "$1")" -l "$out/$1.console" \
		make -s -C selftests run_tests KSFT_DIR=/rpccancel "${select[@]}" |
		seconds_per_program
}

"$vm/setup.sh" "${kernels[@]}"
"$vm/fetch.sh" --kselftest
"$vm/fetch.sh" "${kernels[@]}" "$default_flavour"
make -s -C "$top/libuser" all ../build/libuser/tests/io_test
list=$(selection)
select=()
if [ -z "$list" ]; then
	make -s -C "$top/selftests"
	make -s -C "$top/selftests/demo"
	make -s -C "$top/selftests/demo/calls"
	make -s -C "$top/selftests/rpc"
	make -s -C "$top/selftests/container"
	make -s -C "$top/selftests/soak"
else	# the others may be in the middle of being written
	mapfile -t select <<<"$list"
	for t in "${tests[@]}"; do
		if [[ $t = *.sh ]]; then
			folder=$(dirname "$(find "$top/selftests" -name "$t")")
			[ "$folder" = "$top/selftests" ] || [ ! -e "$folder/Makefile" ] ||
				make -s -C "$folder"
		else
			make -s -C "$top/selftests" "$top/selftests/$t"
		fi
	done
	make -s -k -C "$top/selftests" >/dev/null 2>&1 ||
		say "not everything in selftests/ builds"
fi

# What needs no VM runs beside the VMs, which leave one of two processors idle;
# in a process group of its own, so that it can be ended.
parts=("${kernels[@]}") beside=()
if [ ${#tests[@]} = 0 ] && [[ " ${groups[*]} " = *' stock '* ]]; then
	beside=(library rpc sanitizers fuzz model)
	parts=(style "${beside[@]}" "${kernels[@]}")
	part style "$vm/../style/style.sh"
	set -m
	all_parts "${beside[@]}" </dev/null &
	set +m
	# shellcheck disable=SC2064 # now
	trap "kill -- -$! 2>/dev/null" EXIT
fi
for k in "${kernels[@]}"; do
	part "$k" kernel "$k"
done
# The fuzzer of the device is among the tests, for some seconds; here for minutes.
if [ ${#tests[@]} = 0 ] && [[ " ${groups[*]} " = *' debug '* ]]; then
	for k in kasan-6.1 kcsan-6.1; do
		part "fuzz-$k" "$vm/../fuzz/fuzz.sh" \
			"${RPCCANCEL_FUZZ_SECONDS:-600}" "$k"
		parts+=("fuzz-$k")
	done
fi
wait
trap - EXIT
for p in "${beside[@]}"; do
	printf '# === %s\n' "$p"
	cat "$out/$p.tap"
done

echo
printf '%-44s %7s %7s %8s %8s\n' '' passed failed skipped seconds
for p in "${parts[@]}"; do
	report "$p"
done
for p in "${parts[@]}"; do
	sed -n "s/^FAIL /failed   $p: /p; s/^SKIP /skipped  $p: /p" "$out/$p.results"
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
