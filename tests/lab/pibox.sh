#!/usr/bin/env bash
# pibox.sh NAME DIR PROGRAMS : a Pi with systemd as its first process, as the container NAME, until the standard input ends.
#   prints "up" as soon as systemd has booted; `docker exec NAME systemctl ...` is then real, and so are units, timers and the journal
#   DIR        a folder of the machine that the Pi sees in the same place; DIR/etc is its /etc, so both outlive a power cut
#   PROGRAMS   a folder of programs that it sees in the same place, read-only
# Power cut and boot: docker kill NAME; docker start NAME. It uses the machine's own engine, by its socket: containers are this machine's
# and a power cut of the Pi does not end them, which is enough where it is about units.
# There is no root file system to build: /usr is the machine's own, with its systemd; the rest is an image with little more than folders.
# Not --privileged: the engine then asks for every capability, and machines that lack one refuse to start it.
set -euo pipefail
name=${1:?name} dir=$(readlink -f "${2:?folder}") programs=$(readlink -f "${3:?folder of programs}")
units=$dir/etc/systemd/system
mkdir -p "$units"
: >"$dir/etc/machine-id"
echo 'root:x:0:0::/root:/bin/sh' >"$dir/etc/passwd"
echo 'root:x:0:' >"$dir/etc/group"
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
# What belongs to a whole machine, or to whatever else this one has installed.
for unit in dbus.service dbus.socket systemd-logind.service systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service \
  systemd-resolved.service systemd-hwdb-update.service systemd-firstboot.service systemd-sysusers.service systemd-sysctl.service \
  systemd-binfmt.service proc-sys-fs-binfmt_misc.automount modprobe@.service ldconfig.service systemd-update-done.service \
  systemd-journal-catalog-update.service systemd-tmpfiles-clean.timer getty.target console-getty.service e2scrub_reap.service \
  {dev-hugepages,dev-mqueue,sys-kernel-debug,sys-kernel-tracing,sys-kernel-config,sys-fs-fuse-connections}.mount; do
  ln -sf /dev/null "$units/$unit"
done
# The engine is there already; what waits for its unit must find one.
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' >"$units/docker.service"

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  cgroup=(--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw)
else
  cgroup=(--cgroupns=private -v /sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd:rw)
fi
gone() { docker rm --force --volumes "$name" >/dev/null; }
trap gone EXIT
trap '' INT TERM
docker run --detach --pull=never --name "$name" --hostname pi --network none --stop-signal SIGRTMIN+3 -e container=docker \
  --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined "${cgroup[@]}" --tmpfs /run --tmpfs /tmp \
  -v /usr:/usr:ro -v "$dir/etc:/etc" -v "$dir:$dir" -v "$programs:$programs:ro" -v /var/run/docker.sock:/run/docker.sock \
  offsite-lab/busybox:1 /lib/systemd/systemd >&2
for _ in $(seq 240); do
  case $(docker exec "$name" systemctl is-system-running 2>/dev/null || true) in
  running | degraded)
    echo up
    exec >&-
    cat >/dev/null
    exit 0
    ;;
  esac
  sleep 0.25
done
docker logs "$name" >&2
exit 1
