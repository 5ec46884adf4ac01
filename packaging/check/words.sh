#!/usr/bin/env bash
# words.sh : the project stands by itself: its files name no folder of the machine it was written on, and nothing outside the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
wrong=0
# The one made-up person in examples is called `owner`.
# look WHY PATTERN [PATHSPEC...] : new files count too, ignored ones and this one do not.
look() {
  local why=$1 pattern=$2
  shift 2
  if git grep -nIP --untracked -e "$pattern" -- "$@" ':!packaging/check/words.sh' ':!Cargo.lock' >&2; then
    echo "words: $why (above)" >&2
    wrong=1
  fi
}
look "a path of somebody's machine" '(^|[^A-Za-z0-9_.~$}/-])/(work|root|(home|Users)/(?!owner/)[a-z]+)/[A-Za-z.]'
look "a path outside the project" '\.\./(shared|brief)\b'
look "an address that only one network knows" '[a-z0-9-]+\.(internal|corp|lan)\b'
look "something left for later" '\b(TODO|FIXME|XXX)\b'
look "a merge that was not finished" '^(<<<<<<<|>>>>>>>) '
[ $wrong = 0 ] && echo "words: nothing of one machine's own"
exit $wrong
