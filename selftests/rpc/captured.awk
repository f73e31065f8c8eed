# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Judges what tshark has found in captures. See captured.sh for the variables
# and the fields. Prints "0 NAME" for each result that is good, "1 NAME" for
# others, and lines that begin with "#".
#
# Who has sent something is known from who has opened the connection. What is
# sent to test a server, and is malformed on purpose, is so not mistaken for ours;
# nor are datagrams, when there is somebody else.

BEGIN {
	FS = "\t"
	split("request ping response fault working nocall reject ack cl_cancel " \
	      "fack cancel_ack bind bind_ack bind_nak alter_context " \
	      "alter_context_resp auth3 shutdown co_cancel orphaned", names, " ")
	# of the kernel's numbers, in tshark's expert information
	WARNING = 6291456
	SEQUENCE = 33554432
}

function is_ours(	client)
{
	if (ours == "both")
		return 1
	client = $3 != "" && $4 == opened[f, $3]
	return $3 != "" && client == (ours == "client")
}

function protseq()
{
	if ($3 == "")
		return "ncadg_ip_udp"
	if ($2 ~ /192\.0\.2\.1(;|$)/)
		return "ncacn_np"
	return $2 ~ /192\.0\.2\.2(;|$)/ ? "ncalrpc" : "ncacn_ip_tcp"
}

function complain(about, what)
{
	if (++problems[about] <= 5)
		print "# " file ", frame " $1 ": " what
}

function count(kind, number)
{
	kinds[kind]
	sent[protseq(), kind] += number
	total += number
}

# tshark does not look behind the header of these, so we do.
function is_bare(kind, size, trailer)
{
	return kind !~ /^(co_cancel|orphaned)$/ || (size == 16 && trailer == 0)
}

# A segment may have several.
function count_pdus(	types, sizes, trailers, statuses, n, i, kind)
{
	n = split($11, types, ";")
	split($12, sizes, ";")
	split($13, trailers, ";")
	for (i = 1; i <= n; i++) {
		kind = names[types[i] + 1]
		if (!is_bare(kind, sizes[i], trailers[i]))
			complain("bare", kind ": " sizes[i] " bytes")
		if (kind == "cl_cancel" && $16 == "")
			kind = "cl_cancel (orphaned)"
		count(kind, 1)
	}
	statuses = $14 ";" $15
	n = gsub(/0x1c00000d/, "", statuses)
	if (n) {
		count("fault", -n)
		count("fault (cancelled)", n)
	}
}

# TCP's are about its windows and the like. That a bind is refused, by a bind_nak,
# is for who has asked to know.
function warns(	tcp, severities, groups, messages, n, i)
{
	tcp = $10 == "" || $20 != ""
	n = split($18, severities, ";")
	split($19, groups, ";")
	split($21, messages, ";")
	for (i = 1; i <= n; i++)
		if (severities[i] >= WARNING && !(tcp && groups[i] == SEQUENCE) &&
		    messages[i] != "Bind not acknowledged")
			return 1
	return 0
}

# How far each side's bytes go, behind the SYN, and how many of them are PDUs.
function measure(	side, lengths, n, i)
{
	side = f SUBSEP $3 SUBSEP $4
	if ($8 > 0 && $7 + $8 - 1 > bytes[side] + 0)
		bytes[side] = $7 + $8 - 1
	n = split($12, lengths, ";")
	for (i = 1; i <= n; i++)
		pdus[side] += lengths[i]
	where[side] = file ", tcp.stream " $3 ", from port " $4
}

/^file / {
	file = substr($0, 6)
	f++
	next
}
/^end / {
	if ($0 != "end 0")
		complain("tshark", $0)
	next
}
$6 ~ /[02468ace]2$/ { # SYN without ACK
	opened[f, $3] = $4
	marks += $5 == mark
}
is_ours() {
	if ($3 != "")
		measure()
	if ($17 != "")
		complain("malformed", $21)
	else if (warns())
		complain("warning", $21)
	if ($10 != "")
		count_pdus()
	else if ($3 == "" || $9 ~ /data/)
		complain("other", $9)
}

function result(good, name)
{
	print !good, name
}

function table(	kind, p, row)
{
	row = sprintf("# %-22s", "PDUs of ours")
	for (p = 1; p <= 4; p++)
		row = row sprintf(" %12s", protseqs[p])
	print row
	for (kind in kinds) {
		row = sprintf("# %-22s", kind)
		for (p = 1; p <= 4; p++)
			row = row sprintf(" %12d", sent[protseqs[p], kind])
		print row | "sort"
	}
	close("sort")
}

function check_ends(	side, left)
{
	for (side in where) {
		left = bytes[side] - pdus[side]
		if (left > 0)
			cut++
		if (left < 0 && ++problems["more"] <= 5)
			printf "# %s: %d bytes too many\n", where[side], -left
	}
	print "# " cut + 0 " connections end within a PDU"
}

function check_seen(	parts, pair, list, n, i, j, m)
{
	n = split(seen, parts, " ")
	for (i = 1; i <= n; i++) {
		split(parts[i], pair, "=")
		m = split(pair[2], list, ",")
		for (j = 1; j <= m; j++) {
			sub(/_cancelled/, " (cancelled)", list[j])
			sub(/_orphaned/, " (orphaned)", list[j])
			result(sent[pair[1], list[j]] > 0,
			       pair[1] ": " list[j] ": " \
			       sent[pair[1], list[j]] + 0 " PDUs")
		}
	}
}

END {
	split("ncacn_ip_tcp ncadg_ip_udp ncacn_np ncalrpc", protseqs, " ")
	table()
	check_ends()
	result(marks > 1 && !problems["tshark"], "the captures are whole")
	result(!problems["other"], "everything sent is DCE/RPC")
	result(!problems["malformed"], "none of " total " PDUs is malformed")
	result(!problems["warning"], "nor has tshark a warning about one")
	result(!problems["bare"], "co_cancel and orphaned are headers alone")
	result(!problems["more"], "no byte belongs to two PDUs")
	check_seen()
}
