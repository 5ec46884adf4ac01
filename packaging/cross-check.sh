#!/usr/bin/env bash
# Cross checks from an x86-64 Debian 12 machine that has only the host's Rust toolchain.
#   packaging/cross-check.sh mac-check [cargo args]   type-check for aarch64-apple-darwin (no C compiler, no SDK)
#   packaging/cross-check.sh mac-clippy [cargo args]  the same with clippy, warnings are errors
#   packaging/cross-check.sh mac-link [cargo args]    build, link and inspect the Mach-O files: proof that it links, not for release
#   packaging/cross-check.sh pi-check [cargo args]    type-check for aarch64-unknown-linux-gnu (no cross compiler)
#   packaging/cross-check.sh pi-build [cargo args]    build for aarch64-unknown-linux-gnu with Debian's cross compiler
# Without cargo args the whole workspace is meant.
#
# The standard library is built from source, from Debian's rust-src package of the very same rustc version, because that comes by
# apt where a toolchain's other targets do not. RUSTC_BOOTSTRAP=1 is set here and nowhere else: -Zbuild-std is the only unstable
# thing used, and nothing that this script makes is shipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
tools=$root/target/cross/tools
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
cmd=${1:-help}
shift || true
[ $# -gt 0 ] || set -- --workspace
mac=aarch64-apple-darwin pi=aarch64-unknown-linux-gnu
zig_version=0.17.1 zigbuild_version=0.24.0
export CARGO_TARGET_DIR=$root/target/cross MACOSX_DEPLOYMENT_TARGET=${MACOSX_DEPLOYMENT_TARGET:-12.0}
cd "$root"

rust_source() { # sets library= to the standard library's source of this very rustc
  local version suite
  version=$(rustc -V | awk '{print $2}')
  for library in "$(rustc --print sysroot)/lib/rustlib/src/rust/library" "$tools/rust-src-$version/usr/src/rustc-$version/library"; do
    [ ! -f "$library/Cargo.lock" ] || return 0
  done
  for suite in trixie-backports sid; do
    echo "cross-check: the standard library's source of rustc $version, from Debian $suite" >&2
    rm -rf "$tools/rust-src-$version"
    if "$here/debs-from.sh" "$suite" "$tools/rust-src-$version" "rust-src=$version*" && [ -f "$library/Cargo.lock" ]; then return 0; fi
  done
  echo "cross-check: no rust-src $version on the mirror; use a toolchain with the rust-src component" >&2
  return 1
}
build_std() { rust_source; export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$library; std=(-Zbuild-std=std,panic_abort); }
stub_c() { # no C is compiled for target $1: a check never links
  local t=${1//-/_}
  export "CC_$t=$here/cross/stubcc" "CXX_$t=$here/cross/stubcc" "AR_$t=$here/cross/stubar"
}
stub_sdk() { export SDKROOT=$tools/sdk; mkdir -p "$SDKROOT"; }
zig() { # cargo-zigbuild and zig, pinned
  [ -x "$tools/zig/bin/cargo-zigbuild" ] || {
    python3 -m venv "$tools/zig"
    "$tools/zig/bin/pip" -q install "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
  }
  export PATH=$tools/zig/bin:$PATH
  stub_sdk
  # The frameworks' symbols come from the binding crates' sources; libSystem's real list comes with zig.
  local z
  z=$("$tools/zig/bin/python" -c 'import ziglang,os;print(os.path.dirname(ziglang.__file__))')
  python3 "$here/cross/gen-stubs.py" "$SDKROOT" --libsystem "$z/lib/libc/darwin/libSystem.tbd"
}
cross_gcc() {
  command -v aarch64-linux-gnu-gcc >/dev/null || {
    echo "cross-check: pi-build needs gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
    return 1
  }
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
}
inspect() {
  local f
  for f in "$CARGO_TARGET_DIR/$mac"/debug/{offsite,offsite-agent}; do
    [ ! -f "$f" ] || { echo "== ${f##*/}"; python3 "$here/cross/macho-check.py" "$f" --min "$MACOSX_DEPLOYMENT_TARGET"; }
  done
}

case $cmd in
  mac-check)  build_std; stub_c $mac; stub_sdk; cargo check "${std[@]}" --target $mac "$@" ;;
  mac-clippy) build_std; stub_c $mac; stub_sdk; cargo clippy "${std[@]}" --target $mac "$@" -- -D warnings ;;
  mac-link)   build_std; zig; cargo zigbuild "${std[@]}" --target $mac "$@"; inspect ;;
  pi-check)   build_std; stub_c $pi; cargo check "${std[@]}" --target $pi "$@" ;;
  pi-build)   build_std; cross_gcc; cargo build "${std[@]}" --target $pi "$@" ;;
  help|-h|--help) usage ;;
  *) usage >&2; exit 2 ;;
esac
