#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What "make model" runs: spin verifies the protocol between a canceller, its
# thread, the timer and the ends of all of them, as it is and with each of its
# rules broken, which must be noticed. TAP.
#   model.sh [full]   with larger bounds; else what "make check" has time for
#
# A model is verified in parts, whose sizes are given with -D: "safety" looks at
# assertions and final states, "liveness" at cycles, with weak fairness. A line of
# a model that none of its parts reaches is an error. What spin said is kept in
# build/model.

. "$(dirname "$0")/../vm/common.sh"

models=$(dirname "$(readlink -f "$0")")
out=$build/model
full=${1-}
rm -rf "$out"
mkdir -p "$out"
number=0 status=0

# verifier DIR SAFETY|LIVENESS MODEL DEFINES...: DIR/pan
verifier()
{
	local dir=$1 kind=$2 model=$3 flags
	shift 3
	mkdir -p "$dir"
	flags=(-DNFAIR=4)
	[ "$kind" = liveness ] || flags=(-DNOCLAIM -DSAFETY)
	(cd "$dir" && spin "$@" -a "$models/$model.pml" >spin.log &&
		gcc "${optimize:--O0}" -w -DMEMLIM=3500 "${flags[@]}" -o pan pan.c) || {
		cat "$dir/spin.log"
		return 1
	}
}

# search DIR SAFETY|LIVENESS: the verdict is in DIR/log.
search()
{
	local flags=(-m100000 -w22)
	[ "$2" = safety ] || flags+=(-a -f)
	(cd "$1" && ./pan "${flags[@]}" >log 2>&1) || :
	grep -q 'errors: ' "$1/log"
}

result()
{
	number=$((number + 1))
	if "${@:2}"; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		status=1
	fi
}

# holds SAFETY|LIVENESS MODEL DEFINES...
holds()
{
	local dir=$out/$number kind=$1 model=$2 count=()
	# Spin counts the lines of an atomic sequence, but not of a d_step.
	[ "$kind" = liveness ] || count=(-Dd_step=atomic)
	verifier "$dir" "$@" "${count[@]}" && search "$dir" "$kind" || return
	sed -n 's/.*depth reached \([0-9]*\), errors.*/# depth \1/p
		s/^ *\([0-9.e+]*\) states, stored.*/# states \1/p
		s/^pan: elapsed time/# seconds/p' "$dir/log"
	[ "$kind" = liveness ] || (cd "$dir" && ./pan -d >states)
	printf '%s\n' "$dir" >>"$out/$model.$kind"
	if grep -Eq 'errors: [1-9]|Search not completed|max search depth too small' \
		"$dir/log"; then
		grep -E '^pan:|errors' "$dir/log"
		(cd "$dir" && spin "${@:3}" "${count[@]}" -t -p -g "$models/$model.pml") >"$dir/trace" || :
		echo "# the trace is $dir/trace"
		return 1
	fi
}

# notices SAFETY|LIVENESS MODEL DEFINES...: the last one is the mutation.
notices()
{
	local dir=$out/$number kind=$1
	verifier "$dir" "$@" && search "$dir" "$kind" || return
	sed -n 's/^pan:1: /# /p' "$dir/log"
	grep -q 'errors: [1-9]' "$dir/log"
}

# A line that is reached in one of a model's parts, or in one copy of an inline, is.
# A process that goes on for ever does not reach its end.
reached()
{
	local dirs lines l
	mapfile -t dirs <"$out/$1.safety"
	lines=$(gawk '
		/^proctype / { proc = $2 }
		/^claim / { proc = "" }
		/^unreached in / { proc = $4 }
		FNR == 1 { part = FILENAME; sub("/[^/]*$", "", part) }
		FILENAME ~ /log$/ && match($0, /pml:[0-9]+, state ([0-9]+),/, m) {
			missed[part, proc, m[1]] = 1
		}
		FILENAME ~ /states$/ && proc != "" && !/-end-/ &&
			match($0, /state +([0-9]+) -.*\[id +([0-9]+) .*:([0-9]+) =>/, m) {
			if (!((part, proc, m[1]) in missed) &&
			    !((part, proc, m[2]) in missed))
				seen[m[3]] = 1
			else
				some[m[3]] = 1
		}
		END {
			for (l in some)
				if (!(l in seen))
					print l
		}' "${dirs[@]/%//log}" "${dirs[@]/%//states}" | sort -n)
	for l in $lines; do
		echo "# $1.pml:$l: $(sed -n "${l}{s/^\s*//;p}" "$models/$1.pml")"
	done
	[ -z "$lines" ]
}

# part MODEL DEFINES...: both kinds of what is to hold
part()
{
	result "$*: safety" holds safety "$@"
	[ "$1" != cancel ] || result "$*: no lost wake-up" holds liveness "$@"
}

# mutation SAFETY|LIVENESS MODEL DEFINES... WHAT: the last define breaks it.
mutation()
{
	result "${*: -1} is noticed" notices "${@:1:$#-1}"
}

# Cancels of one call or of the next, with data; a call that goes on after one;
# deadlines; grace periods. What is not said here, the model says.
data=(-DDATA=1)
again=(-DGENS=1 -DCALLS=2 -DDATA=0)
deadline=(-DDATA=0 -DIDLE=0)
grace=(-DDATA=0 -DIDLE=0 -DMODE_CALL)
steps=(-DSTEPS=2 -DREQUESTS=1)

parts()
{
	part cancel "${data[@]}"
	part cancel "${again[@]}"
	part cancel "${deadline[@]}" -DGENS=1 -DCANCELS=0 -DTIMES=2
	part cancel "${grace[@]}" -DGENS=1
	part lifetime "${steps[@]}"
	part lifetime -DSTEPS=1 -DREQUESTS=2 -DTIMER
	part order -DPAIR_KICK
	part order -DPAIR_GONE
	part order -DPAIR_POLL
	part order -DPAIR_QUEUE
}

large_parts()
{
	local optimize=-O1
	part cancel "${again[@]}" -DCANCELS=2
	part cancel -DDATA=0 -DIDLE=0 -DCANCELS=2
	part cancel "${grace[@]}"
}

large_mutations()
{
	local optimize=-O1
	mutation liveness cancel -DDATA=0 -DIDLE=0 -DCANCELS=2 -DMUTATE_CLEAR_LATE \
		"cancel: a bit that is cleared after the work has looked"
}

mutations()
{
	mutation liveness cancel "${again[@]}" -DMUTATE_LOSE \
		"cancel: a cancel that is not re-armed"
	mutation liveness cancel "${again[@]}" -DMUTATE_OFF_EARLY \
		"cancel: a hook that is taken off when the thread was told"
	mutation liveness cancel "${again[@]}" -DMUTATE_RESTART_FIRST \
		"cancel: restart logic that runs before the work"
	mutation liveness cancel "${data[@]}" -DMUTATE_ONE_LOOK \
		"cancel: no second look after the note was queued"
	mutation safety cancel "${data[@]}" -DMUTATE_GEN \
		"cancel: a late cancel that hits the next generation"
	mutation safety cancel "${data[@]}" -DMUTATE_NEXT_IDLE \
		"cancel: a cancel for the next call that takes none"
	mutation safety cancel "${data[@]}" -DMUTATE_NEXT_STAYS \
		"cancel: a cancel for the next call that hits two"
	mutation safety cancel "${data[@]}" -DMUTATE_DATA \
		"cancel: a call that is refused after it moved data"
	mutation safety cancel "${again[@]}" -DMUTATE_TWICE \
		"cancel: a thread that is told twice"
	mutation safety cancel "${deadline[@]}" -DCANCELS=0 -DTIMES=1 -DMUTATE_DEADLINE \
		"cancel: a deadline that hits a later generation"
	mutation safety cancel "${grace[@]}" -DGENS=1 -DMUTATE_GRACE \
		"cancel: a call that is refused within its grace period"

	mutation safety lifetime "${steps[@]}" -DMUTATE_QUEUED_REF \
		"lifetime: queued work without a reference"
	mutation safety lifetime "${steps[@]}" -DMUTATE_NOTED_REF \
		"lifetime: a queued note without a reference"
	mutation safety lifetime "${steps[@]}" -DMUTATE_ARMED_REF \
		"lifetime: a registered hook without a reference"
	mutation safety lifetime "${steps[@]}" -DMUTATE_PUT_EARLY \
		"lifetime: a reference that is dropped before the last use"
	mutation safety lifetime "${steps[@]}" -DMUTATE_LEAK \
		"lifetime: a reference that is kept when the thread has exited"
	mutation safety lifetime "${steps[@]}" -DMUTATE_INC \
		"lifetime: a reference taken from none"
	mutation safety lifetime "${steps[@]}" -DMUTATE_NO_RCU \
		"lifetime: memory that is freed without RCU"
	mutation safety lifetime "${steps[@]}" -DMUTATE_TIMER -DTIMER \
		"lifetime: a timer that is not destroyed before the last claim's end"
	mutation safety lifetime "${steps[@]}" -DMUTATE_MODULE_REF \
		"lifetime: a record without a reference on the module"
	mutation safety lifetime "${steps[@]}" -DMUTATE_NO_RCU_TASKS \
		"lifetime: a module exit that does not wait for the last instructions"
	mutation safety lifetime "${steps[@]}" -DMUTATE_NO_RCU_BARRIER \
		"lifetime: a module exit that does not wait for RCU callbacks"
	mutation safety lifetime "${steps[@]}" -DMUTATE_DEATH \
		"lifetime: a death that the hook does not report"
	mutation safety lifetime "${steps[@]}" -DMUTATE_END_ASLEEP \
		"lifetime: a thread that is not woken to take off its hook"
	mutation safety lifetime "${steps[@]}" -DMUTATE_NOTE_GONE \
		"lifetime: a note that is left with a thread whose record is gone"
	mutation safety lifetime "${steps[@]}" -DMUTATE_MUTEX \
		"lifetime: a mutex that is taken twice"
	mutation safety lifetime "${steps[@]}" -DTIMER -DMUTATE_CANCEL_LOCKED \
		"lifetime: a wait for the timer with its lock held"

	mutation safety order -DPAIR_KICK -DMUTATE_NO_BARRIER \
		"order: no barrier between the note and the second look"
	mutation safety order -DPAIR_KICK -DMUTATE_ON_CPU \
		"order: a thread that counts as asleep on its processor"
	mutation safety order -DPAIR_GONE -DMUTATE_NO_BARRIER \
		"order: no barrier between the note and the look at the end"
	mutation safety order -DPAIR_GONE -DMUTATE_NO_BARRIER_END \
		"order: no barrier between the end and the look at the note"
	mutation safety order -DPAIR_POLL -DMUTATE_NO_BARRIER \
		"order: no barrier between the queue and the look at the events"
	mutation safety order -DPAIR_POLL -DMUTATE_NO_BARRIER_DELIVER \
		"order: no barrier between the event and the look at the queue"
	mutation safety order -DPAIR_QUEUE -DMUTATE_NO_BARRIER \
		"order: no barrier after the bit is cleared"
	mutation safety order -DPAIR_QUEUE -DMUTATE_NO_BARRIER_QUEUE \
		"order: no barrier before the bit is set"
}

parts
[ -z "$full" ] || large_parts
for m in cancel lifetime order; do
	result "$m: every line is reached" reached "$m"
done
mutations
[ -z "$full" ] || large_mutations
echo "1..$number"
exit "$status"
