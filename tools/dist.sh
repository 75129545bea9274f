#!/usr/bin/env bash
# Makes dist/holdfast-VERSION-ARCH.tar.gz: the stripped release executable, units, sample configuration, licence, checksums.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

# Incremental code generation cuts a crate into hundreds of pieces, which a release must not be.
export CARGO_INCREMENTAL=0

tools/prerequisites.sh dist
cargo build --release --bin holdfast --locked
built=$target_directory/release/holdfast

# A server needs nothing but the C library and the package `postgresql`.
strange=$(objdump -p "$built" | awk '/NEEDED/ { print $2 }' |
    grep -vE '^(libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux[-a-z0-9_]*)\.so' || true)
[ -z "$strange" ] || stop "the executable needs more than the C library: $strange"

version=$(sed -nE '/^\[workspace.package\]/,/^\[/ s/^version = "(.*)"/\1/p' Cargo.toml)
name=holdfast-$version-$(uname -m)
folder=dist/$name
rm -rf dist
mkdir -p "$folder/systemd"
install -m 0755 "$built" "$folder/holdfast"
install -m 0644 systemd/*.service systemd/holdfast.sysusers systemd/holdfast.tmpfiles systemd/README.md "$folder/systemd/"
install -m 0644 systemd/holdfast.toml "$folder/holdfast.toml"
install -m 0644 LICENSE CHANGELOG.md README.md docs/operating.md "$folder/"
(cd "$folder" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)

# The same tree gives the same tarball, whoever packs it and when.
stamp=@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
tar --sort=name --mtime="$stamp" --owner=0 --group=0 --numeric-owner -C dist -cf - "$name" | gzip -n -9 >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")
printf 'dist/%s.tar.gz: %s bytes, executable %s bytes\n' "$name" "$(stat -c %s "dist/$name.tar.gz")" "$(stat -c %s "$built")"

# What was packed is what is tried: unpacked elsewhere, with nothing of this shell, to a drill that passed.
trial=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-dist.XXXXXX")
trap 'rm -rf "$trial"' EXIT
tar -C "$trial" -xzf "dist/$name.tar.gz"
(cd "$trial/$name" && sha256sum --quiet -c SHA256SUMS)
mkdir "$trial/home"
(cd "$trial/$name" && env -i PATH=/usr/bin:/bin HOME="$trial/home" ./holdfast demo --once --json --data "$trial/data" \
    --listen 127.0.0.1:0) >"$trial/said" 2>"$trial/noise" ||
    { cat "$trial/noise" >&2 && stop "the demo of the packed executable did not pass: $(tail -n 1 "$trial/said")"; }
proof=$(tail -n 1 "$trial/said" | python3 -B -c '
import json, sys
last = json.load(sys.stdin)
drill = last["drill"]
if drill["verdict"] == "pass":
    print("proven: point {} came back in {:.1f} s, {} notes matched".format(last["restore_point"], drill["rto_seconds"], drill["notes"]))
')
[ -n "$proof" ] || stop "the drill of the packed executable did not pass: $(tail -n 1 "$trial/said")"
printf '%s\n' "$proof"
