#!/usr/bin/env bash
# newpi.sh DIR REPOSITORY : a Pi that nobody has set up for the Mac: a usual sshd and root's shell, in the foreground, until its standard input ends.
#   prints "listening PORT" on standard output as soon as it answers on 127.0.0.1 (a free port)
#   DIR/paste  a pipe: what is written into it is run there as root    DIR/shown  a pipe: what that said, then "code N"
#   DIR/sshd.log  what sshd said
# It has accounts, homes, host keys and logs of its own, in mount and process namespaces, so that the machine's are not touched and
# nothing outlives the caller. REPOSITORY is seen as /srv/backup/offsite, and given to a group `offsite`, as an agent would. Needs root.
set -euo pipefail
self=$(readlink -f "$0")
. "${self%/*}/serve.sh" # before what is mounted below can hide it
if [ "${1:-}" != --inside ]; then
  dir=$(readlink -f "${1:?folder}") repository=$(readlink -f "${2:?repository}")
  mkfifo "$dir/paste" "$dir/shown"
  exec unshare --mount --pid --fork --kill-child=KILL --mount-proc "$self" --inside "$dir" "$repository"
fi

dir=$2 repository=$3
mkdir -p /run/sshd
mount -t tmpfs -o mode=755 tmpfs /run/sshd
cp -a /etc /run/sshd/etc
mount --bind /run/sshd/etc /etc
for f in passwd group shadow gshadow; do
  [ ! -e /etc/$f ] || { grep -v '^offsite:' /etc/$f >/etc/$f.new && cat /etc/$f.new >/etc/$f; rm -f /etc/$f.new; }
done
echo 'offsite:x:64002:' >>/etc/group
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -C root@pi -f /etc/ssh/ssh_host_ed25519_key
for own in /home /var/log /var/mail /srv; do
  [ ! -d $own ] || mount -t tmpfs -o mode=755 tmpfs $own
done
mkdir -p /srv/backup/offsite /run/sshd/bin
chgrp -R 64002 "$repository"
chmod -R g+rX "$repository"
mount --bind "$repository" /srv/backup/offsite
printf '#!/bin/sh\nexec "$@"\n' >/run/sshd/bin/sudo # root is root already, and need not have sudo
chmod 755 /run/sshd/bin/sudo
cat >/run/sshd/config <<C
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
C

shell() { # a line in, its words out
  local line code
  while line=$(cat "$dir/paste"); do
    {
      code=0
      (cd / && PATH=/run/sshd/bin:$PATH HOME=/root sh -c "$line" </dev/null 2>&1) || code=$?
      echo "code $code"
    } >"$dir/shown"
  done
}
wanted=
ready() { shell >/dev/null 2>&1 </dev/null & }
serve
