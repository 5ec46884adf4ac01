#!/usr/bin/env bash
# pi.sh DIR REPOSITORY [PORT] : a Pi's sshd with the account that may only fetch, in the foreground, until its standard input ends.
#   prints "listening PORT" on standard output as soon as it answers on 127.0.0.1 (a free port, unless one is named)
#   DIR/key          the client's key           DIR/known_hosts  pins the host, for that port
#   DIR/host         the Pi's host key          DIR/sshd.log     what sshd said
# The account is `offsite`; it is shut into a folder where it sees REPOSITORY as /repository, can read and cannot write. It has the
# group that REPOSITORY belongs to. It exists only here: everything below runs in mount and process namespaces of its own, so that
# the machine's accounts and files are not touched and nothing outlives the caller, however the caller ends. Needs root.
set -euo pipefail
self=$(readlink -f "$0")
. "${self%/*}/serve.sh" # before what is mounted below can hide it
if [ "${1:-}" != --inside ]; then
  dir=$(readlink -f "${1:?folder}") repository=$(readlink -f "${2:?repository}")
  [ -f "$dir/key" ] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$dir/key"
  [ -f "$dir/host" ] || ssh-keygen -q -t ed25519 -N '' -C pi -f "$dir/host"
  exec unshare --mount --pid --fork --kill-child=KILL --mount-proc "$self" --inside "$dir" "$repository" "${3:-}"
fi

dir=$2 repository=$3 wanted=$4
group=$(stat -c %g "$repository")
mkdir -p /run/sshd
mount -t tmpfs -o mode=755 tmpfs /run/sshd # a place that sshd's account can reach whatever the modes above DIR are
cp "$dir/host" /run/sshd/host
cp "$dir/key.pub" /run/sshd/keys
chmod 644 /run/sshd/keys
for f in passwd group shadow; do grep -v '^offsite:' /etc/$f >/run/sshd/$f; done
echo "offsite:x:64001:$group::/:/usr/sbin/nologin" >>/run/sshd/passwd
echo 'offsite:*:19000::::::' >>/run/sshd/shadow # no password, yet not locked: without PAM a locked account's key is refused
for f in passwd group shadow; do mount --bind /run/sshd/$f /etc/$f; done
# All folders above a jail must be root's and nobody else's to write, which a temporary folder's are not.
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/repository
mount --bind "$repository" /srv/repository
cat >/run/sshd/config <<C
ListenAddress 127.0.0.1
HostKey /run/sshd/host
PidFile none
AuthorizedKeysFile /run/sshd/keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers offsite
MaxStartups 100
ChrootDirectory /srv
ForceCommand internal-sftp -R
Subsystem sftp internal-sftp
AllowTcpForwarding no
AllowAgentForwarding no
X11Forwarding no
PermitTTY no
C

ready() { echo "[127.0.0.1]:$1 $(cut -d' ' -f1,2 "$dir/host.pub")" >"$dir/known_hosts"; }
serve
