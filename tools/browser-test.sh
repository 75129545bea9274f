#!/usr/bin/env bash
# The pages in a real browser: tests/browser against a demo of its own, in Debian's headless Chromium.
#
# Uses the dev build that is there, and builds it when there is none. The two npm packages come by `npm ci` from the
# committed lock file, without running anything of theirs, into a folder beside the other tools.
# ONLY=text runs the groups whose name contains it; VERBOSE=1 names each test that passes.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

modules() { # where node_modules are; fetched when the lock file has changed
    local wanted home
    wanted=$(sha256sum tests/browser/package-lock.json | cut -c 1-16)
    home=$tools_directory/browser-$wanted
    if [ ! -e "$home/complete" ]; then
        say "fetching what the browser test needs from npm"
        rm -rf "$home"
        mkdir -p "$home"
        cp tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc "$home/"
        (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error >&2) ||
            stop "npm could not fetch the packages of tests/browser/package-lock.json; check the network and run this again"
        : >"$home/complete"
    fi
    printf '%s\n' "$home"
}

main() {
    local browser binary=$target_directory/debug/holdfast found
    browser=$(command -v "${BROWSER:-chromium}") || stop "no Chromium here: tools/prerequisites.sh browser installs it"
    found=$(node --version) || stop "no Node.js here: tools/prerequisites.sh browser installs it"
    [ "$(sed -E 's/^v([0-9]+).*/\1/' <<<"$found")" -ge 18 ] || stop "Node.js $found is too old: 18 or newer is needed"
    [ -x "$binary" ] || cargo build --locked --package holdfast
    local home
    home=$(modules)
    BROWSER=$browser node tests/browser/run.mjs "$binary" "$home"
}

main "$@"
