#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Every exported function has a page, every page is well formed and complete. A
# page may be a symbolic link to one that is about several functions.
. "$(dirname "$0")/lib.sh"

man=$top/Documentation/man

without_page()
{
	local f
	for f in $(exported); do
		[ -e "$man/$f.3" ] || echo "$f has no page"
	done
}

# A link must lead to a page that is about the same function, too.
not_named()
{
	local f
	for f in $(exported); do
		mandoc -T ascii "$man/$f.3" 2>/dev/null | col -b |
			awk -v f="$f" '/^NAME/ { names = 1 }
				/^SYNOPSIS/ { names = 0; s = 1 }
				/^DESCRIPTION/ { s = 0 }
				names { n = n " " $0 }
				s && index($0, f "(") { d = 1 }
				END { if (n !~ "(^|[ ,])" f "[ ,]")
					print f " is not in NAME"
				      if (!d) print f " is not in SYNOPSIS" }'
	done
}

without_section()
{
	local f s
	for f in $(exported); do
		for s in DESCRIPTION 'RETURN VALUE' ERRORS NOTES 'SEE ALSO'; do
			mandoc -T ascii "$man/$f.3" 2>/dev/null | col -b |
				grep -qxF "$s" || echo "$f.3 has no $s"
		done
	done
}

references()
{
	local name section
	grep -hoE '\<(rpccancel|I_Rpc|Rpc|Uuid|Dce)[A-Za-z0-9_]*(\\fP| )\([0-9]\)' \
		"$man"/* |
		sed 's/\\fP//; s/[ ()]/ /g' | sort -u |
		while read -r name section; do
			[ -e "$man/$name.$section" ] || echo "no $name.$section"
		done
}

nothing "every exported function has a page" without_page
nothing "and is in its NAME and SYNOPSIS" not_named
nothing "with all its sections" without_section
nothing "pages that are referred to exist" references
for page in "$man"/*.[0-9]; do
	nothing "${page##*/}" mandoc -T lint -W warning "$page"
done
end
