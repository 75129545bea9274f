#!/usr/bin/env bash
# The gate that a change must pass, stage by stage, fastest first. `make test` and `make check` call it.
#
#   tools/gate.sh test     everything
#   tools/gate.sh check    what needs no service
#
# Stops at the first stage that fails and prints the minutes of each.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

stages=()
test_pg=

stage() { # stage NAME COMMAND…
    local name=$1 began=$SECONDS code=0 minutes
    shift
    printf '\n=== %s\n' "$name"
    "$@" || code=$?
    minutes=$(awk -v s=$((SECONDS - began)) 'BEGIN { printf "%.1f", s / 60 }')
    if [ $code -eq 0 ]; then
        stages+=("$(printf '%-14s %6s min  ok' "$name" "$minutes")")
        printf -- '--- %s: ok, %s min\n' "$name" "$minutes"
    else
        stages+=("$(printf '%-14s %6s min  FAILED' "$name" "$minutes")")
        printf -- '--- %s: FAILED, %s min\n' "$name" "$minutes"
        summary
        exit $code
    fi
}

summary() {
    printf '\n=== stages\n'
    printf '%s\n' "${stages[@]}"
    awk -v s=$SECONDS 'BEGIN { printf "%-14s %6.1f min\n", "together", s / 60 }'
}

structure() {
    python3 -B tools/structure.py --self-test && python3 -B tools/structure.py
}

deny() {
    "$tools_directory/bin/cargo-deny" --locked check --hide-inclusion-graph bans licenses sources
}

tests() {
    local fixtures=${HOLDFAST_FIXTURES:-../shared/fixtures}
    if [ -d "$fixtures" ]; then
        fixtures=$(realpath "$fixtures")
        export HOLDFAST_FIXTURES=$fixtures
    else
        say "no fixtures at $fixtures (HOLDFAST_FIXTURES): tests that need them are named as skipped, and fail with CI=true"
    fi
    # A fresh Postgres, started by the first test that asks and ended by us. The path is short: sockets have 107 bytes.
    test_pg=$(mktemp -d "${TMPDIR:-/tmp}/hf-pg.XXXXXX")
    chmod 755 "$test_pg"
    local log code=0 limit=()
    # A test that hangs must not use up the time of a whole CI machine; at a terminal Ctrl-C does.
    [ "${CI:-}" != true ] || limit=(timeout --kill-after=30 "${HOLDFAST_TEST_MINUTES:-60}m")
    log=$(mktemp)
    HOLDFAST_TEST_PG=$test_pg PATH="$tools_directory/bin:$PATH" \
        "${limit[@]}" cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || code=$?
    awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; runs++ }
        END { printf "together: %d passed, %d failed, %d ignored in %d test programs\n", passed, failed, ignored, runs }' "$log"
    grep -ho 'skipped [^ ]*: .*' "$log" | sort -u || true
    [ $code -ne 124 ] || say "the tests were ended after ${HOLDFAST_TEST_MINUTES:-60} minutes (HOLDFAST_TEST_MINUTES)"
    rm -f "$log"
    return $code
}

# The pages in a real browser, with the build of the stages before.
browser() {
    if tools/prerequisites.sh browser; then
        tools/browser-test.sh
    elif [ "${CI:-}" = true ]; then
        return 1
    else
        say "skipped browser test: no Chromium or Node.js here, and they could not be installed (fails with CI=true)"
    fi
}

# Real gRPC, Connect and gRPC-Web clients, with the build of the stages before.
clients() {
    if tools/prerequisites.sh clients; then
        tools/clients-test.sh
    elif [ "${CI:-}" = true ]; then
        return 1
    else
        say "skipped clients' test: no Node.js or Python here, and they could not be installed (fails with CI=true)"
    fi
}

end_test_postgres() {
    [ -n "$test_pg" ] || return 0
    local pid=
    [ -r "$test_pg/data/postmaster.pid" ] && pid=$(head -n 1 "$test_pg/data/postmaster.pid")
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$test_pg"; then
        kill -INT "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            [ -d "/proc/$pid" ] || break
            sleep 0.1
        done
        [ ! -d "/proc/$pid" ] || kill -QUIT "$pid" 2>/dev/null || true
    fi
    rm -rf "$test_pg"
    test_pg=
}

# Tests of crates that know no service, out of the same build that the whole gate uses.
pure_tests() {
    local executables name
    executables=$(cargo test --workspace --locked --lib --no-run --message-format json |
        python3 -B -c '
import json, sys
pure = {"domain", "markdown", "wire"}
for line in sys.stdin:
    message = json.loads(line)
    if message.get("reason") == "compiler-artifact" and message.get("executable") and message["target"]["name"] in pure:
        print(message["manifest_path"].rsplit("/", 1)[0], message["executable"])
')
    while read -r folder executable; do
        (cd "$folder" && "$executable" --quiet)
    done <<<"$executables"
}

main() {
    case ${1:-} in
    test)
        trap end_test_postgres EXIT
        trap 'exit 130' INT TERM
        stage prerequisites tools/prerequisites.sh test
        stage format cargo fmt --all --check
        stage structure structure
        stage deny deny
        stage clippy cargo clippy --workspace --all-targets --locked -- -D warnings
        stage tests tests
        stage browser browser
        stage clients clients
        ;;
    check)
        stage prerequisites tools/prerequisites.sh check
        stage format cargo fmt --all --check
        stage structure structure
        stage deny deny
        stage clippy cargo clippy --workspace --all-targets --locked -- -D warnings
        stage "pure tests" pure_tests
        ;;
    *) stop "usage: tools/gate.sh test|check" ;;
    esac
    summary
}

main "$@"
