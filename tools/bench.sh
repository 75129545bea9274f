#!/usr/bin/env bash
# Measures the budgets into docs/performance.md. NOTES, TENANTS and REQUESTS change the sizes; a machine that does other
# things at the same time measures those, too.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

tools/prerequisites.sh demo check
cargo build --release --bin holdfast --locked
exec python3 -B tools/bench.py "$target_directory/release/holdfast" \
    --notes "${NOTES:-10000}" --tenants "${TENANTS:-100}" --requests "${REQUESTS:-2000}"
