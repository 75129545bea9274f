#!/usr/bin/env bash
# The long counts: tests with `soak` in their name, which `make test` leaves out as ignored. The result goes into
# docs/soak.md with seed, date and commit. SEED repeats a run; ONLY is a part of the name of the tests that are run (soak:
# all); HOLDFAST_SOAK_MUTATIONS is the number of damaged databases that are imported (10,000), HOLDFAST_SOAK_FROM the first of them.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

tools/prerequisites.sh test
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
only=${ONLY:-soak}
began=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
HOLDFAST_SOAK_SEED=$seed PATH="$tools_directory/bin:$PATH" \
    cargo test --workspace --locked --no-fail-fast -- --include-ignored --nocapture "$only" 2>&1 | tee "$log" || code=$?
passed=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$log")
failed=$(awk '/^test result:/ { n += $6 } END { print n + 0 }' "$log")
[ $((passed + failed)) -gt 0 ] || stop "no test has $only in its name; nothing was proven and nothing is written down"
[ -e docs/soak.md ] || printf '%s\n' '# Soak runs' '' 'Written by `make soak`, newest last.' '' \
    '| date | commit | seed | tests named | passed | failed | minutes |' '|---|---|---|---|---|---|---|' >docs/soak.md
printf '| %s | `%s` | %s | %s | %s | %s | %s |\n' "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$seed" "$only" "$passed" \
    "$failed" "$(((SECONDS - began) / 60))" >>docs/soak.md
exit $code
