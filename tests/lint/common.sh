# shellcheck shell=sh
# Sourced by the checks that run a tool: `--root DIR` names the tree, by default the one this folder lies in.
set -u
name=${0##*/}
lint=$(cd "$(dirname "$0")" && pwd)
root=$lint/../..
if [ "${1-}" = --root ]; then
	root=$2
	shift 2
fi
cd "$root" || exit 2

# need TOOL: a missing tool is a failure, never a check passed over.
need()
{
	command -v "$1" >/dev/null || {
		echo "$name: $1 is not installed (make setup)"
		exit 2
	}
}

# verdict STATUS: the last line of each check.
verdict()
{
	if [ "$1" -eq 0 ]; then
		echo "$name: ok"
		exit 0
	fi
	echo "$name: violations"
	exit 1
}

# each SORT COMMAND...: runs COMMAND over the files of a sort, two processes at a time.
each()
{
	sort=$1
	shift
	"$lint/files" "$sort" | tr '\n' '\0' | xargs -0 -r -n 4 -P 2 "$@"
}
