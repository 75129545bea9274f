#!/usr/bin/env bash
# The pages in a real browser: tests/browser against a demo of its own, in Debian's headless Chromium.
#
# Uses the dev build that is there, and builds it when there is none. Its npm packages, and those of the OpenID provider of
# tests/oidc, come by `npm ci` from the committed lock files, without running anything of theirs, into folders beside the
# other tools.
# ONLY=text runs the groups whose name contains it; VERBOSE=1 names each test that passes; SHOTS=folder keeps pictures of the
# pages of signing in.
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
    OIDC_MODULES=$(node_modules oidc-node tests/oidc)
    export OIDC_MODULES
    BROWSER=$browser node tests/browser/run.mjs "$binary" "$home"
}

main "$@"
