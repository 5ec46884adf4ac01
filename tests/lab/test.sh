#!/usr/bin/env bash
# test.sh [cargo test args] : the workspace's tests, with the container images that they need.
# As root nothing may be skipped. Without root, or off Debian, a skipped test says so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" = 0 ] && [ -r /etc/debian_version ]; then export OFFSITE_LAB=${OFFSITE_LAB-require}; fi
"$here/images.sh"
cd "$here/../.."
python=${OFFSITE_LAB_DIR:-$PWD/target/lab}/py/bin/python # with the packages that packaging/recover needs
if [ -z "${OFFSITE_PYTHON:-}" ] && [ -x "$python" ]; then export OFFSITE_PYTHON=$python; fi
cargo test --workspace --no-fail-fast "$@" # one failure must not hide another
