#!/usr/bin/env bash
# dependencies.sh : the crates depend on each other in one direction, and the agent links no cipher, no cloud client and no SSH.
# Asked of cargo itself, so that a feature switched on from afar is seen too.
set -euo pipefail
cd "$(dirname "$0")/../.."
wrong=0
fault() { echo "dependencies: $*" >&2; wrong=1; }

# tree PACKAGE : what it links, on the Mac and on the Pi, without what only tests need; one name a line.
tree() { cargo tree --locked --package "$1" --edges normal --target all --prefix none --format '{p}' | awk '{ print $1 }' | sort -u; }

may() { # may PACKAGE FRIEND... : which of ours a package may link
  local package=$1 found
  shift
  for found in $(tree "$package" | grep '^offsite' | grep -vx "$package" || true); do
    case " $* " in *" $found "*) ;; *) fault "$package must not depend on $found" ;; esac
  done
}
may offsite-archive
may offsite-repository offsite-archive
may offsite-sftp
may offsite-agent offsite-archive offsite-repository
may offsite offsite-archive offsite-repository offsite-sftp offsite-agent

for crate in $(tree offsite-agent); do
  case $crate in
    aes | aes-gcm | argon2 | chacha20* | ring | aws-lc* | rustls | native-tls | openssl* | hmac | hkdf) fault "the agent links the cipher $crate" ;;
    russh* | ssh-*) fault "the agent links $crate, which is SSH" ;;
    reqwest | hyper | hyper-* | h2 | quick-xml) fault "the agent links the cloud client $crate" ;;
  esac
done
# Shown only by a feature: the object store without its clouds.
if cargo tree --locked --package offsite-agent --edges features --target all --prefix none | grep -E '^object_store feature "(aws|azure|gcp|http|cloud[^"]*)"'; then
  fault "the agent's object store is built with a cloud"
fi
[ $wrong = 0 ] && echo "dependencies: one direction, and the agent links no cipher, no cloud client and no SSH"
exit $wrong
