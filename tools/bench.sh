#!/usr/bin/env bash
# Measures the budgets into docs/performance.md. SMALL, LARGE, TENANTS and REQUESTS change the sizes; a machine that does
# other things at the same time measures those, too. IMPORTS are the sizes of imported databases, in notes. `wrk`, where it is installed, adds the throughput of a list.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

# Incremental code generation cuts a crate into hundreds of pieces, which a release must not be.
export CARGO_INCREMENTAL=0

tools/prerequisites.sh demo check
# The executable as `make dist` makes it; the example apart, whose tests' libraries would come along.
cargo build --release --locked --bin holdfast
cargo build --release --locked -p holdfast-store --example budgets
cargo build --release --locked -p holdfast-identity --example sign_in
exec python3 -B tools/bench.py "$target_directory/release/holdfast" "$target_directory/release/examples/budgets" \
    --sign-in "$target_directory/release/examples/sign_in" \
    --small "${SMALL:-10000}" --large "${LARGE:-100000}" --tenants "${TENANTS:-1000}" --requests "${REQUESTS:-3000}" \
    --imports "${IMPORTS:-100000,1000000}"
