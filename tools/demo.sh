#!/usr/bin/env bash
# Builds the executable and runs `holdfast demo`: sample notes (or FROM=folder) imported, served, backed up and drilled.
#
#   FROM=folder   a Memos data folder, or its database file, in place of the sample
#   DATA=folder   where everything is kept (./holdfast-data)
#   LISTEN=a:p    where to serve (127.0.0.1:5230)
#   ONCE=1        ends after the drill; 0 when it passed
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

tools/prerequisites.sh demo
cargo build --workspace --bin holdfast --locked
arguments=()
[ -z "${FROM:-}" ] || arguments+=(--from "$FROM")
[ -z "${DATA:-}" ] || arguments+=(--data "$DATA")
[ -z "${LISTEN:-}" ] || arguments+=(--listen "$LISTEN")
[ "${ONCE:-}" != 1 ] || arguments+=(--once)
exec "$target_directory/debug/holdfast" demo "${arguments[@]}"
