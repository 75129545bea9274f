#!/usr/bin/env bash
# The pages in a real browser: tests/browser against a demo of its own, in Debian's headless Chromium.
#
# Uses the dev build that is there, and builds it when there is none. The two npm packages come by `npm ci` from the
# committed lock file, without running anything of theirs, into a folder beside the other tools.
# ONLY=text runs the groups whose name contains it; VERBOSE=1 names each test that passes.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

main() {
    local browser binary=$target_directory/debug/holdfast found
    browser=$(command -v "${BROWSER:-chromium}") || stop "no Chromium here: tools/prerequisites.sh browser installs it"
    found=$(node --version) || stop "no Node.js here: tools/prerequisites.sh browser installs it"
    [ "$(sed -E 's/^v([0-9]+).*/\1/' <<<"$found")" -ge 18 ] || stop "Node.js $found is too old: 18 or newer is needed"
    [ -x "$binary" ] || cargo build --locked --package holdfast
    local home
    home=$(node_modules browser tests/browser)
    BROWSER=$browser node tests/browser/run.mjs "$binary" "$home"
}

main "$@"
