#!/usr/bin/env bash
# Makes the release archive of this commit, and tries it: PREFIX-VERSION-MACHINE.tar.gz and SHA256SUMS.
#
#   packaging/release.sh [--binary PATH] [--out DIR]
#
# --binary takes a program that is built already; without it, it is built here. --out is target/release-archive unless it is said.
# The same commit and the same program give the same archive, byte for byte.
set -euo pipefail

binary=
out=
while [ $# -gt 0 ]; do
    case "$1" in
    --binary) binary=$(realpath "${2:?--binary needs a path}") ;;
    --out) out=$(realpath -m "${2:?--out needs a folder}") ;;
    *)
        echo "usage: packaging/release.sh [--binary PATH] [--out DIR]" >&2
        exit 2
        ;;
    esac
    shift 2
done
cd "$(dirname "$0")/.."
out=${out:-$PWD/target/release-archive}
export LC_ALL=C

if [ -z "$binary" ]; then
    cargo build --release --locked --bin promptfed
    binary=${CARGO_TARGET_DIR:-$PWD/target}/release/promptfed
fi
version=$("$binary" --version | cut -d' ' -f2)
# All files have the time of the commit.
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
name=promptfed-$version-$(uname -m)-$(uname -s | tr '[:upper:]' '[:lower:]')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
install -D -m 755 "$binary" "$tree/bin/promptfed"
mkdir -p "$tree/share/doc/promptfed" "$tree/share/man/man1" "$tree/lib/systemd/system"
# Where an installed program looks for them.
cp -r assets "$tree/share/promptfed"
cp -r README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT docs "$tree/share/doc/promptfed"
cp packaging/promptfed.service "$tree/lib/systemd/system"
# Names, versions and licences of what is linked, without the places that they were built in.
cargo tree --locked --package promptfed --edges normal --prefix none --format '{p} {l}' \
    | sed -E 's# \(/[^)]*\)##; s# \(\*\)$##' | sort -u >"$tree/share/doc/promptfed/LIBRARIES.txt"

# Neither settings nor bundled files of this machine have a say.
packed() { (cd "$work" && env -i PATH="$PATH" HOME="$work" LC_ALL=C "$@"); }
packed "$tree/bin/promptfed" man --out "$tree/share/man/man1" >/dev/null
completions() {
    mkdir -p "$(dirname "$tree/share/$2")"
    packed "$tree/bin/promptfed" completions "$1" >"$tree/share/$2"
}
completions bash bash-completion/completions/promptfed
completions zsh zsh/site-functions/_promptfed
completions fish fish/vendor_completions.d/promptfed.fish
find "$tree" -type d -exec chmod 755 {} +
find "$tree" -type f ! -path "$tree/bin/*" -exec chmod 644 {} +

archive() {
    tar --create --directory "$work" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --format=ustar "$name" \
        | gzip --no-name -9
}
archive >"$work/one.tar.gz"
archive | cmp - "$work/one.tar.gz"
mkdir -p "$out"
mv "$work/one.tar.gz" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >SHA256SUMS)

# As whoever gets it: unpacked elsewhere, in an empty folder.
rm -rf "$tree"
mkdir "$work/unpacked" "$work/empty"
(cd "$out" && sha256sum --check --quiet SHA256SUMS)
tar --extract --file "$out/$name.tar.gz" --directory "$work/unpacked"
program=$work/unpacked/$name/bin/promptfed
try() { (cd "$work/empty" && env -i PATH="$PATH" HOME="$work/empty" "$program" "$@"); }
[ "$(try --version)" = "promptfed $version" ]
found=$(try doctor --only program --only assets --json)
case "$found" in
*"$work/unpacked/$name/bin/../share/promptfed"* | *"$work/unpacked/$name/share/promptfed"*) ;;
*)
    echo "the unpacked program takes its assets from elsewhere: $found" >&2
    exit 1
    ;;
esac
try synth --prompt "a photo of a church" --steps 1 --out pictures --quiet
try synth show pictures/images/image/00000000.png >/dev/null
echo "$out/$name.tar.gz: unpacked and tried"
