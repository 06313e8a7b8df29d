#!/usr/bin/env bash
# Builds the tests of promptfed-kernels for aarch64 and runs them under QEMU: the NEON code without an ARM machine.
# usage: neon.sh [ARGUMENT OF cargo test]...        (such as: neon.sh --lib -- gemm)
# Ends with the exit status of 'cargo test', or with 125 if something needed is missing.
# Settings by environment: NEON_ROOT (a Debian system with the tools, see README.md beside this script; without it those
#   of this machine are used), QEMU_CPU (max; cortex-a72 is NEON without bf16, dot product and SVE), CARGO_TARGET_DIR,
#   PROPTEST_CASES
set -euo pipefail

fail() { echo "neon.sh: $*" >&2; exit 125; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
target=aarch64-unknown-linux-gnu

if [ -n "${NEON_ROOT:-}" ]; then
    [ "$(id -u)" = 0 ] || fail "NEON_ROOT needs root, to mount the repository in it"
    [ -d "$NEON_ROOT/usr" ] || fail "NEON_ROOT '$NEON_ROOT' is not a Debian system; README.md beside this script makes one"
    crates=${CARGO_HOME:-$HOME/.cargo}
    mkdir -p "$NEON_ROOT/repository" "$NEON_ROOT/crates" "$crates"
    # The mounts are seen by this process only and go with it.
    exec unshare --mount bash -c '
        set -e
        mount --bind "$2" "$1/repository"
        mount --bind "$3" "$1/crates"
        mount --bind /dev "$1/dev"
        mount -t proc proc "$1/proc"
        root=$1; shift 3
        exec chroot "$root" env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/crates \
            CARGO_TARGET_DIR=/var/tmp/neon QEMU_CPU="${QEMU_CPU:-max}" RUST_BACKTRACE="${RUST_BACKTRACE:-0}" \
            CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-1}" CARGO_NET_OFFLINE="${CARGO_NET_OFFLINE:-false}" \
            ${PROPTEST_CASES:+PROPTEST_CASES=$PROPTEST_CASES} \
            bash /repository/kernels/emulate/neon.sh "$@"
    ' neon "$NEON_ROOT" "$repository" "$crates" "$@"
fi

qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || fail "QEMU's user mode is not installed; README.md beside this script lists what to install"
for tool in cargo rustc aarch64-linux-gnu-gcc; do
    command -v "$tool" >/dev/null || fail "'$tool' is not installed; README.md beside this script lists what to install"
done
[ -d "$(rustc --print target-libdir --target "$target")" ] || fail "rustc has no standard library for $target; run 'rustup target add $target', or make a NEON_ROOT as README.md beside this script says"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -L /usr/aarch64-linux-gnu"
cd "$repository"
exec cargo test -p promptfed-kernels --target "$target" "$@"
