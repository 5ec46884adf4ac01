#!/usr/bin/env bash
# images.sh : the container images of the lab, from the packages that this machine has installed. Nothing is pulled.
# They are named offsite-lab/NAME:1; compose files must say `pull_policy: never`, or a mistyped name asks a public registry.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docker info >/dev/null 2>&1 || { echo "images: no docker engine answers; none are made"; exit 0; }
postgres=/usr/lib/postgresql/15
image() { /usr/bin/python3 "$here/mkimage.py" "offsite-lab/$1:1" /usr/bin/setpriv "${@:2}"; }
image busybox
image sqlite /usr/bin/sqlite3
image postgres $postgres/bin $postgres/lib/{plpgsql,dict_snowball}.so /usr/share/postgresql/15 /usr/share/zoneinfo/UTC /usr/lib/locale/C.utf8
