#!/usr/bin/env bash
# Runs an x86-64 Linux test binary on an emulated Sapphire Rapids: AVX-512, AVX-512 BF16 and AMX BF16 without the hardware.
# usage: amx.sh [-f FILE_OR_FOLDER]... TEST_BINARY [ARGUMENT...]
#   -f   copy this into the emulated machine too, at the same absolute path (files that the tests read)
# Prints what the binary prints and ends with its exit status, or with 125 if the emulation failed.
# Settings by environment (defaults): BOCHS (bochs), KERNEL (newest /boot/vmlinuz-*), CPU (sapphire_rapids),
#   MEGABYTES (1024), SECONDS_LIMIT (1800), KERNEL_ARGUMENTS (quiet), RUST_BACKTRACE, RUST_TEST_THREADS (1),
#   PROPTEST_CASES, PROMPTFED_INSTRUCTION_SET
set -euo pipefail

fail() { echo "amx.sh: $*" >&2; exit 125; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bochs=${BOCHS:-bochs}
kernel=${KERNEL:-$(ls -v /boot/vmlinuz-* 2>/dev/null | tail -n 1 || true)}
bios=/usr/share/bochs/BIOS-bochs-latest
vgabios=/usr/share/vgabios/vgabios.bin
isolinux=/usr/lib/ISOLINUX

copies=()
while getopts f: option; do
    [ "$option" = f ] || { sed -n 3,4p "$0" >&2; exit 125; }
    copies+=("$(realpath -e "$OPTARG")") || fail "'$OPTARG' does not exist; name an existing file or folder after -f"
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || fail "no test binary was named; 'cargo test --no-run' prints where it puts them"
binary=$1
shift
[ -x "$binary" ] || fail "'$binary' is not an executable file; 'cargo test --no-run' prints where it puts them"
for tool in "$bochs" xorriso cpio busybox strip; do
    command -v "$tool" >/dev/null || fail "'$tool' is not installed; README.md beside this script lists what to install"
done
for file in "$bios" "$vgabios" "$isolinux/isolinux.bin"; do
    [ -r "$file" ] || fail "'$file' is missing; README.md beside this script lists what to install"
done
[ -r "$kernel" ] || fail "no kernel '$kernel'; set KERNEL to the vmlinuz of a Linux of 6.0 or newer"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The emulated machine's whole file system: busybox, the binary, the libraries that it is linked to, and the copies.
root=$work/root
mkdir -p "$root"/{bin,run,proc,dev,tmp} "$work/files"
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$here/init.sh" "$root/init"
strip -o "$root/run/test" "$binary"
for library in $(ldd "$binary" 2>/dev/null | grep -o '/[^ ]*'); do
    install -D "$library" "$root$library"
done
for copy in "${copies[@]}"; do
    mkdir -p "$root$(dirname "$copy")"
    cp -a "$copy" "$root$copy"
done
cat >"$root/run/command" <<COMMAND
cd /tmp
export HOME=/tmp RUST_BACKTRACE=${RUST_BACKTRACE:-0} RUST_TEST_THREADS=${RUST_TEST_THREADS:-1}
${PROPTEST_CASES:+export PROPTEST_CASES=$PROPTEST_CASES}
${PROMPTFED_INSTRUCTION_SET:+export PROMPTFED_INSTRUCTION_SET=$PROMPTFED_INSTRUCTION_SET}
exec /run/test ${*@Q}
COMMAND
(cd "$root" && find . -print0 | cpio --quiet --null -o -H newc) >"$work/files/initrd"

# What each kernel argument is for:
#   acpi=off no5lvl    the BIOS of Bochs cannot serve ACPI to a CPU with 5-level paging
#   clearcpuid=fsrm    Bochs starts with fast string operations disabled; Linux then trips over FSRM in memmove
#   reboot=t panic=-1  a restart or a kernel panic ends Bochs
cp "$kernel" "$work/files/vmlinuz"
cp "$isolinux/isolinux.bin" /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/files/"
cat >"$work/files/isolinux.cfg" <<CONFIG
default test
prompt 0
label test
  kernel vmlinuz
  initrd initrd
  append console=ttyS0,115200 rdinit=/init acpi=off no5lvl clearcpuid=fsrm reboot=t panic=-1 nokaslr mitigations=off no_timer_check lpj=1000000 random.trust_cpu=on ${KERNEL_ARGUMENTS:-quiet loglevel=1}
CONFIG
xorriso -as mkisofs -quiet -o "$work/disk" -isohybrid-mbr "$isolinux/isohdpfx.bin" -b isolinux.bin -c boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/files" 2>"$work/xorriso.log" || fail "$(cat "$work/xorriso.log")"
truncate -s %516096 "$work/disk" # whole cylinders of 16 heads x 63 sectors

: >"$work/serial"
sed -e "s|@bios@|$bios|" -e "s|@vgabios@|$vgabios|" -e "s|@megs@|${MEGABYTES:-1024}|" -e "s|@cpu@|${CPU:-sapphire_rapids}|" \
    -e "s|@disk@|$work/disk|" -e "s|@serial@|$work/serial|" -e "s|@log@|$work/bochs.log|" "$here/bochsrc.in" >"$work/bochsrc"
timeout "${SECONDS_LIMIT:-1800}" "$bochs" -q -f "$work/bochsrc" </dev/null >"$work/bochs.out" 2>&1 || true

tr -d '\r' <"$work/serial" >"$work/console"
status=$(sed -n 's/^emulate: exit //p' "$work/console" | tail -n 1)
if [ -z "$status" ]; then
    tail -n 30 "$work/bochs.out" "$work/bochs.log" "$work/console" >&2
    fail "the emulated machine stopped before the test ended (SECONDS_LIMIT is ${SECONDS_LIMIT:-1800}); its last words are above"
fi
sed -e '0,/^emulate: start$/d' -e '/^emulate: exit /,$d' "$work/console"
exit "$status"
