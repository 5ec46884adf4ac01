#!/usr/bin/env bash
# debs-from.sh SUITE OUT PACKAGE[=VERSION]... : unpacks packages of another Debian suite into OUT, and installs nothing.
#   OUT/ then holds the packages' files (OUT/usr/...). Their dependencies are not fetched.
# apt does the fetching, so signatures are checked against Debian's own keyring; lists and cache are its own, made anew each
# time and removed afterwards, and the system's apt never learns that the suite exists.
set -euo pipefail
suite=${1:?suite} out=${2:?folder} && shift 2
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/\?$') ||
  { echo "debs-from: no Debian mirror among this machine's apt sources" >&2; exit 1; }
mkdir -p "$out"
apt=$(mktemp -d) && trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$apt/sources.list"
# A frozen mirror has an old Release file, whose signature is good and whose date is not: only the date is not looked at.
cat >"$apt/apt.conf" <<C
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "-"; Dir::State::lists "$apt/lists"; Dir::State::status "/dev/null";
Dir::Cache "$apt/cache"; Acquire::Check-Valid-Until "false"; Acquire::Check-Date "false"; Acquire::Languages "none"; APT::Sandbox::User "root";
C
export APT_CONFIG=$apt/apt.conf
apt-get -qq update
(cd "$apt/debs" && apt-get -qq download "$@")
for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$out"; done
