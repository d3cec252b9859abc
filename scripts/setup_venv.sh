#!/usr/bin/env bash
# Makes .venv and installs the locked, hash-checked packages; does nothing where that is done already.
#   scripts/setup_venv.sh LOCKFILE
set -euo pipefail
cd "$(dirname "$0")/.."
lock="$1"
venv=.venv

fail() { printf 'quorum: %s\n' "$*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer was not found; install it (Debian, Ubuntu: apt install python3 python3-venv)"
}

# Debian's python3 without python3-venv cannot give a venv its pip; the package python3-pip-whl holds one and can be
# fetched without root.
bootstrap_pip() {
    local python="$1" folder
    "$python" -m venv --without-pip "$venv.new" || fail "$python cannot make a virtual environment; apt install python3-venv"
    folder="$(mktemp -d)"
    if ! (cd "$folder" && apt-get download -qq python3-pip-whl && dpkg-deb --extract python3-pip-whl_*.deb .) >/dev/null 2>&1; then
        rm -rf "$folder" "$venv.new"
        fail "$python has no pip for virtual environments; install it with: apt install python3-venv"
    fi
    PYTHONPATH="$(echo "$folder"/usr/share/python-wheels/pip-*.whl)" \
        "$venv.new/bin/python" -m pip install --quiet --no-index "$folder"/usr/share/python-wheels/pip-*.whl
    rm -rf "$folder"
}

mkdir -p state
exec 9>state/venv.lock
if command -v flock >/dev/null && ! flock --nonblock 9; then
    echo "· waiting for another quorum command that is installing" >&2
    flock 9
fi

stamp="$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1) $PWD"
for done_lock in "$lock" requirements-dev.lock; do
    if [ "$(cat "$venv/.installed-$(basename "$done_lock")" 2>/dev/null)" = "$stamp" ] && [ -x "$venv/bin/quorum" ]; then
        exit 0
    fi
done

python="$(find_python)"
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 \
    || ! grep -qF "$PWD/$venv" "$venv/bin/pip" 2>/dev/null; then
    echo "· making a virtual environment with $("$python" --version)" >&2
    rm -rf "$venv" "$venv.new"
    "$python" -m venv "$venv.new" >/dev/null 2>&1 || { rm -rf "$venv.new"; bootstrap_pip "$python"; }
    rm -rf "$venv.new/bin/__pycache__"
    # A venv knows its own path, so it is made again in place by the interpreter that worked.
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        mv "$venv.new" "$venv"
        sed -i "s|$PWD/$venv\.new|$PWD/$venv|g" "$venv"/bin/* "$venv/pyvenv.cfg" 2>/dev/null || true
    fi
    rm -rf "$venv.new"
fi
echo "· installing the locked packages (about 150 MB the first time)" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$lock" \
    || fail "the packages could not be installed; see above"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    || fail "the project itself could not be installed; see above"
rm -f "$venv"/.installed-*
printf '%s\n' "$stamp" >"$venv/.installed-$(basename "$lock")"
