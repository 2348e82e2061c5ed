#!/usr/bin/env bash
# Builds .venv in three stages, each skipped when nothing it depends on has changed:
#   environment  a fresh virtual environment with exactly requirements.lock, checked by hash
#   package      tieline itself, editable, built by the locked build tool
#   kernels      the compiled scheduling kernels, so that no first run waits for them
# A stage leaves its stamp last: an interrupted set-up is taken up where it stopped.
# PYTHON=/path/to/python names the interpreter a new .venv is built on.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
. scripts/apt.sh

readonly venv=.venv
readonly python="$venv/bin/python"
readonly warm=src/tieline/simulation/warm.py

fresh() { [ -x "$python" ] && [ "$(cat "$venv/$1.stamp" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$venv/$1.stamp"; }
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }
get() { apt_install "$@" || fail "apt-get could not install $*; see the lines above"; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Prints an interpreter that can build virtual environments.
usable_python() {
    local base package
    if ! base=$(find_python); then
        [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13"
        may_install || fail "Python 3.11, 3.12 or 3.13 is missing." \
            "Install it (on Debian 12, as root: apt-get install python3 python3-venv)" \
            "or name one: make setup PYTHON=/path/to/python3.11"
        get python3 python3-venv
        base=$(find_python) || fail "this system's python3 is older than 3.11;" \
            "install Python 3.11 and name it: make setup PYTHON=/path/to/python3.11"
    fi
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        may_install || fail "$base cannot make virtual environments: its venv module is missing." \
            "On Debian, as root: apt-get install $package"
        get "$package"
    fi
    printf '%s\n' "$base"
}

pip_install() {
    "$python" -m pip install -qq --no-input --disable-pip-version-check "$@" </dev/null >&2
}

environment() {
    local base
    base=$(usable_python)
    say "building $venv on $base from requirements.lock (about a minute, once)"
    rm -rf "$venv"
    "$base" -m venv "$venv" || fail "$base could not make a virtual environment in $PWD/$venv"
    # Most of what is installed is never imported: compiling all of it took a third of the time.
    pip_install --no-compile --require-hashes --only-binary :all: -r requirements.lock ||
        fail "the packages of requirements.lock could not be installed; see the lines above"
}

package() {
    pip_install --no-deps --no-build-isolation --editable . ||
        fail "the package itself could not be installed; see the lines above"
}

# A second set-up at the same time waits for the first instead of spoiling it.
if command -v flock >/dev/null; then
    exec 9<requirements.lock
    flock 9
fi

# The path is part of the key: the scripts in a virtual environment hold it.
environment_key="$PWD $(cksum <requirements.lock)"
package_key=$(cksum <pyproject.toml)
kernels_key=$(find src/tieline/{model,scheduling,control} -name '*.py' |
    LC_ALL=C sort | xargs cat | cksum)

if ! fresh environment "$environment_key"; then
    environment
    stamp environment "$environment_key"
fi
if ! fresh package "$package_key"; then
    package
    stamp package "$package_key"
fi

# Compiled code of earlier sources is never used again, so it goes first.
if [ -e "$warm" ] && ! fresh kernels "$kernels_key"; then
    say "compiling the scheduling kernels"
    rm -rf src/tieline/__pycache__/kernels-*
    # `price` takes half of the time; the other call comes to it last, and finds it done.
    "$python" -m tieline.simulation.warm price </dev/null >&2 &
    price=$!
    "$python" -m tieline.simulation.warm </dev/null >&2 || fail "the kernels did not compile"
    wait "$price" || fail "the kernels did not compile"
    stamp kernels "$kernels_key"
fi
