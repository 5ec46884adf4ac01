#!/usr/bin/env bash
# dockerd-up.sh [up|down|run COMMAND...] : a Docker engine on a machine without systemd, at the usual socket.
#   up    does nothing where an engine answers already; otherwise starts one and remembers that it is ours
#   down  stops the engine if it is ours, and no other
#   run   runs COMMAND with an engine, and stops the engine afterwards if it was started for it
# The engine's own folder stays (/var/lib/docker), so the images of the lab are made once.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lab=${OFFSITE_LAB_DIR:-$root/target/lab}
ours=$lab/dockerd.pid log=$lab/dockerd.log

answers() { docker info >/dev/null 2>&1; }
alive() { # is process $1 still an engine, and not another that got its number?
  [ "$(cat "/proc/$1/comm" 2>/dev/null)" = dockerd ]
}
cgroups() { # the engine wants them mounted; without systemd nobody has
  local c
  mountpoint -q /sys/fs/cgroup && return 0
  # If no memory controller is bound to a v1 hierarchy yet, the one tree of v2 can be had.
  if awk '$1 == "memory" && $2 == 0 { free = 1 } END { exit !free }' /proc/cgroups; then
    mount -t cgroup2 none /sys/fs/cgroup
    if grep -qw memory /sys/fs/cgroup/cgroup.controllers; then return 0; fi
    umount /sys/fs/cgroup
  fi
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for c in $(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups); do
    mkdir -p "/sys/fs/cgroup/$c"
    mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c" 2>/dev/null || rmdir "/sys/fs/cgroup/$c"
  done
  mkdir -p /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd || true
}
up() {
  local pid
  if answers; then echo "docker: an engine answers ($(docker info -f '{{.ServerVersion}}'))"; return 0; fi
  if [ "$(id -u)" != 0 ]; then echo "docker: no engine, and not root to start one: its tests will be skipped"; return 0; fi
  if ! command -v dockerd >/dev/null; then echo "docker: no engine is installed; tests/lab/setup.sh does it" >&2; return 1; fi
  mkdir -p "$lab"
  cgroups
  # A run that was killed leaves its pid file, and the engine then takes any process of that number for itself.
  if [ -f /run/docker.pid ] && ! alive "$(cat /run/docker.pid)"; then rm -f /run/docker.pid; fi
  setsid dockerd >"$log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 300); do
    if answers; then
      echo $pid >"$ours"
      docker info -f 'docker: started {{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}'
      return 0
    fi
    kill -0 $pid 2>/dev/null || break
    sleep 0.2
  done
  kill $pid 2>/dev/null || true
  echo "docker: the engine did not start; the end of $log:" >&2
  tail -n 8 "$log" >&2
  return 1
}
down() {
  local pid
  [ -f "$ours" ] || return 0
  pid=$(cat "$ours")
  rm -f "$ours"
  alive "$pid" || return 0
  kill "$pid"
  for _ in $(seq 150); do alive "$pid" || { echo "docker: stopped the engine"; return 0; }; sleep 0.2; done
  echo "docker: the engine $pid does not stop" >&2
  return 1
}
run() {
  if ! answers; then
    trap down EXIT
    up
  fi
  "$@"
}
case ${1:-up} in
  up) up ;;
  down) down ;;
  run) shift; run "$@" ;;
  *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
