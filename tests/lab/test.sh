#!/usr/bin/env bash
# test.sh [cargo test args] : the workspace's tests, with the container images that they need.
# As root nothing may be skipped. Without root, or off Debian, a skipped test says so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" = 0 ] && [ -r /etc/debian_version ]; then export OFFSITE_LAB=${OFFSITE_LAB-require}; fi
case ${OFFSITE_LAB-}:$(stat -f -c %T "${TMPDIR:-/tmp}") in
require:ext2/ext3 | require:xfs | require:btrfs) ;;
require:*) # a container's own file system, or tmpfs: their times are not relied on, so what is known by times cannot be tested there
  disk=$(mktemp -d)
  truncate -s 24G "$disk.image"
  mkfs.ext4 -q -F "$disk.image"
  mount -o loop "$disk.image" "$disk"
  trap 'umount -l "$disk" && rm -r "$disk" "$disk.image"' EXIT
  chmod 1777 "$disk"
  export TMPDIR=$disk
  ;;
esac
"$here/images.sh"
cd "$here/../.."
python=${OFFSITE_LAB_DIR:-$PWD/target/lab}/py/bin/python # with the packages that packaging/recover needs
if [ -z "${OFFSITE_PYTHON:-}" ] && [ -x "$python" ]; then export OFFSITE_PYTHON=$python; fi
cargo test --workspace --no-fail-fast "$@" # one failure must not hide another
