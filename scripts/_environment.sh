# Sourced by the scripts beside it. `environment base` or `environment dev` leaves an up-to-date .venv at $venv.
# An environment is up to date while its stamp names this checkout, pyproject.toml and constraints.txt as they are;
# "dev" holds all that "base" does. PYTHON names another interpreter to make it with.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/environment.stamp

# Threads that spin long while they wait cost a factor of seven where other work shares the cores.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-3000}

_fingerprint() {
    { printf '%s\n' "$root"; cat -- "$root/pyproject.toml" "$root/constraints.txt"; } | cksum
}

_create() {
    local python=${PYTHON:-python3} version
    if ! version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))'); then
        if [[ -n $version ]]; then
            echo "nishimori needs Python 3.11 or newer and $python is $version; name a newer one: PYTHON=python3.12 $0" >&2
        else
            echo "$python does not run; install Python 3.11 or newer, or name it: PYTHON=python3.12 $0" >&2
        fi
        return 2
    fi
    echo "Making $venv with Python $version"
    "$python" -m venv --clear "$venv"
}

environment() {
    local level=$1 requirement=$root want have=""
    want=$(_fingerprint)
    if [[ -f $stamp ]]; then have=$(<"$stamp"); fi
    if [[ $have == "$want dev" || $have == "$want $level" ]]; then return; fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then _create || return; fi
    if [[ $level == dev ]]; then requirement+="[dev]"; fi
    echo "Installing nishimori ($level) into $venv; the first time takes a minute or more"
    rm -f -- "$stamp"
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        -c "$root/constraints.txt" -e "$requirement" || return
    echo "$want $level" >"$stamp"
}
