#!/usr/bin/env bash
# setup.sh : puts on this machine what only the bench needs, on top of tests/lab/setup.sh. Debian, as root; nothing where all is there.
set -euo pipefail
lacking=()
# The rivals, of the agent and of the pull; peak memory as the kernel counts it; a file system that compresses, for 50 GB on a small disk.
for package in restic borgbackup rsync rclone time btrfs-progs; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' $package 2>/dev/null || true)" = installed ] || lacking+=("$package")
done
[ ${#lacking[@]} -gt 0 ] || exit 0
echo "bench: installing ${lacking[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends "${lacking[@]}" >/dev/null
