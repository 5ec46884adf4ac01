#!/usr/bin/env bash
# setup.sh : puts on this machine what the tests with real parts need. Debian 12, as root; safe to run again, seconds when all is there.
#   Debian packages (below), the docker compose plugin where there is none, and in target/lab an ntfy server, and a Python environment with
#   an S3 server, a mail server and what packaging/recover needs.
# It starts nothing and enables nothing. Without root it says what will be skipped and succeeds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
lab=${OFFSITE_LAB_DIR:-$root/target/lab}
packages=(
  docker.io iptables iproute2                    # an engine, and networks for it
  openssh-server openssh-client                  # the Pi's sshd, and a client that is not ours
  zstd tar libarchive-tools acl attr curl        # independent judges of what is ours
  postgresql-15 sqlite3 busybox-static           # what the lab's container images are made of
  python3-venv strace                            # the S3 server; faults at system calls
  btrfs-progs e2fsprogs xfsprogs                 # disks whose power can be cut, and such as people have
  systemd                                        # the first process of the lab's Pi, and the judge of units
  libplist-utils                                 # a second reader of property lists
  gcc make ca-certificates                       # what the workspace itself is built with
)
compose_plugin=/usr/local/lib/docker/cli-plugins/docker-compose
# What is made of moto is the S3 server, of aiosmtpd the mail server; with the others anybody's Python opens a vault (packaging/recover); jsonschema judges ours.
python_packages=('moto[s3]==5.2.*' flask flask-cors 'cryptography>=44' zstandard blake3 jsonschema 'aiosmtpd==1.4.*')
say() { echo "setup: $* (${SECONDS}s)"; }

absent() { # the packages of the list that are not installed
  local p
  for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || echo "$p"
  done
}
twice() { "$@" || { say "once more: $1 $2"; sleep 5; "$@"; }; } # a mirror may stumble; twice is a fault

debian() {
  local lacking policy=/usr/sbin/policy-rc.d
  mapfile -t lacking < <(absent)
  [ ${#lacking[@]} -gt 0 ] || { say "Debian packages: all there"; return 0; }
  say "Debian packages to install: ${lacking[*]}"
  # Installing must not start a database, an sshd or an engine on the developer's machine.
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  twice apt-get -qq -o DPkg::Lock::Timeout=120 update
  twice apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${lacking[@]}" >"$lab/apt.log" 2>&1 ||
    { tail -n 15 "$lab/apt.log" >&2; say "apt-get failed; all of it is in $lab/apt.log"; exit 1; }
  say "Debian packages: installed"
}

compose() { # Debian 12 has no compose v2; the next releases' needs nothing but this release's libc, so it is unpacked, not installed
  if docker compose version >/dev/null 2>&1; then say "docker compose: $(docker compose version --short)"; return 0; fi
  local suite out=$lab/compose
  for suite in trixie sid; do
    rm -rf "$out"
    twice "$root/packaging/debs-from.sh" $suite "$out" docker-compose || continue
    mkdir -p "${compose_plugin%/*}"
    install -m 755 "$out/usr/libexec/docker/cli-plugins/docker-compose" "$compose_plugin"
    rm -rf "$out"
    say "docker compose: $(docker compose version --short), of Debian $suite, put at $compose_plugin"
    return 0
  done
  say "docker compose could not be fetched"
  exit 1
}

ntfy() { # a server of notices; Debian 12 has none, and that of the next releases is one file that needs nothing but this release's libc
  local suite out=$lab/ntfy.deb
  if "$lab/ntfy/ntfy" --help >/dev/null 2>&1; then say "ntfy: there"; return 0; fi
  for suite in trixie sid; do
    rm -rf "$out"
    twice "$root/packaging/debs-from.sh" $suite "$out" ntfy || continue
    "$out/usr/bin/ntfy" --help >/dev/null 2>&1 || continue
    install -D -m 755 "$out/usr/bin/ntfy" "$lab/ntfy/ntfy"
    rm -rf "$out"
    say "ntfy: of Debian $suite, put in $lab/ntfy"
    return 0
  done
  say "ntfy could not be fetched"
  exit 1
}

s3() { # uv installs in seconds what pip takes a minute for
  local want
  want="${python_packages[*]} $(/usr/bin/python3 -V)"
  if [ "$(cat "$lab/py/made-of" 2>/dev/null)" = "$want" ]; then say "Python environment: there"; return 0; fi
  rm -rf "$lab/py" "$lab/uv"
  /usr/bin/python3 -m venv "$lab/uv"
  twice "$lab/uv/bin/pip" install -q uv
  "$lab/uv/bin/uv" -q venv --python /usr/bin/python3 "$lab/py"
  twice "$lab/uv/bin/uv" -q pip install --python "$lab/py/bin/python" "${python_packages[@]}"
  "$lab/py/bin/python" -c 'import moto.server, cryptography, zstandard, blake3, jsonschema, aiosmtpd'
  echo "$want" >"$lab/py/made-of"
  rm -rf "$lab/uv"
  say "Python environment with the S3 server: installed in $lab/py"
}

if [ "$(id -u)" != 0 ]; then
  echo "setup: not root, so nothing is installed. Skipped will be: stories with docker, with a real sshd, and with owners of files;"
  echo "setup: run tests/lab/setup.sh as root once, or set OFFSITE_LAB=require to see skipped tests as failures."
  exit 0
fi
[ -r /etc/debian_version ] || { echo "setup: this knows Debian only; tests that lack a part will be skipped"; exit 0; }
mkdir -p "$lab"
debian
compose
ntfy
s3
say "ready"
