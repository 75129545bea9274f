#!/usr/bin/env bash
# Real clients from PyPI and npm against a server of ours: tests/clients.
#
# Uses the dev build that is there, and builds it when there is none. The wheels have fixed versions; the npm packages come
# by `npm ci` from the committed lock file, without running anything of theirs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

python() { # the interpreter of an environment that holds the wheels; made when the list has changed
    local wanted home
    wanted=$(sha256sum tests/clients/requirements.txt | cut -c 1-16)
    home=$tools_directory/clients-python-$wanted
    if [ "$(cat "$home/complete" 2>/dev/null)" != "$home" ]; then
        say "fetching what the clients' test needs from PyPI"
        rm -rf "$home"
        python3 -m venv "$home" || stop "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
        "$home/bin/pip" install --quiet --disable-pip-version-check --no-input --only-binary :all: --no-deps \
            --requirement tests/clients/requirements.txt </dev/null >&2 ||
            stop "PyPI could not be reached; check the network and run this again"
        printf '%s\n' "$home" >"$home/complete"
    fi
    printf '%s\n' "$home/bin/python3"
}

main() {
    local binary=$target_directory/debug/holdfast interpreter home
    node --version >/dev/null 2>&1 || stop "no Node.js here: tools/prerequisites.sh clients installs it"
    [ -x "$binary" ] || cargo build --locked --package holdfast
    interpreter=$(python)
    home=$(node_modules clients-npm tests/clients)
    "$interpreter" -B tests/clients/run.py "$binary" "$home"
}

main "$@"
