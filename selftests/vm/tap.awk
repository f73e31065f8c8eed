# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Counts the results in TAP. Prints "PASS n", "FAIL what" and "SKIP what: why"
# lines, one for each result.
#
# kselftest's runner shows each program's own TAP after "# ", between the line
# "# selftests: folder: program" and the program's result. The program's own
# results count; its result as a whole counts only if it says more than they
# do: it crashed, was ended, left results out, or has none.

function result(line, where,	  what, why)
{
	what = why = line
	sub(/^(not )?ok *[0-9]* *-? */, "", what)
	sub(/ *# .*/, "", what)
	sub(/^# .*/, "", what)
	what = where (where != "" && what != "" ? ": " : "") what
	if (line ~ /^not ok/ && line !~ /# (TODO|XFAIL)/) {
		print "FAIL " what
		return "fail"
	}
	if (line ~ /# *(SKIP|skip|TODO|XFAIL)/) {
		sub(/.*# *(SKIP|skip)?:? */, "", why)
		print "SKIP " what ": " (why != "" ? why : "no reason given")
		return "skip"
	}
	print "PASS " what
	return "pass"
}

function whole_program(line,	why)
{
	if (line ~ /^not ok/) {
		why = line
		sub(/.*# /, "", why)
		if (!fails)
			print "FAIL " program " as a whole: " why
	} else if (planned != "" && planned != results) {
		print "FAIL " program ": " results " results, but it planned " planned
	} else if (!results && line ~ /# SKIP/) {
		print "SKIP " program ": " (reason != "" ? reason : last)
	} else if (!results) {
		print "PASS " program
	}
	program = ""
}

{ sub(/\r$/, "") }

/^# selftests: [^:]*: / {
	program = $NF
	results = fails = 0
	planned = reason = last = ""
	next
}
program != "" && /^# (not )?ok\>/ {
	results++
	fails += result(substr($0, 3), program) == "fail"
	next
}
program != "" && /^# 1\.\.0/ {
	reason = $0
	sub(/.*# *(SKIP|skip)? */, "", reason)
	next
}
program != "" && /^# 1\.\.[0-9]+/ {
	planned = substr($2, 4) + 0
	next
}
program != "" && /^# / { last = substr($0, 3) }
/^1\.\.[0-9]+/ { expected += substr($1, 4) }
/^(not )?ok\>/ {
	seen++
	if (program != "")
		whole_program($0)
	else
		result($0, "")
}
END {
	if (program != "")
		print "FAIL " program ": it was running when everything ended"
	if (expected > seen + (program != ""))
		print "FAIL " expected - seen " of " expected " tests did not run"
}
