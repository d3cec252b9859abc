#!/usr/bin/env bash
# Makes .venv and installs the locked, hash-checked packages; does nothing where that is done already.
#   scripts/setup_venv.sh LOCK     requirements.lock; those with -web, -search, -exchanges, -stocks and -dev add to it
# An environment is built beside the one in use and takes its place when it is complete, so neither a failure nor an
# interruption breaks what worked. Only the packages that a second lock adds are installed in place.
set -euo pipefail
cd "$(dirname "$0")/.."
locks=(requirements.lock requirements-web.lock requirements-search.lock requirements-exchanges.lock requirements-stocks.lock
    requirements-dev.lock)  # each holds those before it
venv=.venv
fresh=.venv.new
stamp="$venv/.installed"  # which lock, the digests of what was installed
not_installed="the packages could not be installed; see above"

say() { printf '· %s\n' "$*" >&2; }
fail() { printf 'quorum: %s\n' "$*" >&2; exit 1; }

rank() {  # LOCK -> its place in locks; 0 for none
    local place
    for place in "${!locks[@]}"; do
        [ "${locks[$place]}" != "$1" ] || { echo $((place + 1)); return; }
    done
    echo 0
}

# It changes with the folder and Python's version too: a copied folder or an upgraded system gets a new environment.
packages_digest() {
    { "$venv/bin/python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null; pwd; cat "${locks[@]}"; } | sha256sum
}

project_digest() { sha256sum <pyproject.toml; }

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

# Debian's python3 has no pip for a virtual environment unless python3-venv is installed; the package python3-pip-whl
# holds one and can be fetched without root.
install_debians_pip() {
    local folder wheel status=0
    folder="$(mktemp -d)"
    (cd "$folder" && apt-get download -qq python3-pip-whl && dpkg-deb --extract python3-pip-whl_*.deb .) >/dev/null 2>&1
    wheel="$(echo "$folder"/usr/share/python-wheels/pip-*.whl)"
    PYTHONPATH="$wheel" "$fresh/bin/python" -m pip install --quiet --disable-pip-version-check --no-index "$wheel" \
        2>/dev/null || status=1
    rm -rf "$folder"
    return $status
}

pip_install() {  # ENVIRONMENT ARGUMENTS: pip compiles nothing, Python does what it really imports
    local environment="$1"
    shift
    "$environment/bin/python" -m pip install --disable-pip-version-check --no-compile --no-deps --progress-bar off "$@" \
        | show_packages
}

show_packages() {  # of what pip says, the large wheels in one line each, so that nobody wonders for a minute
    awk '
        / *(Downloading|Using cached) .*\.whl \(.* MB\)/ {
            file = $(NF - 2); sub(/.*\//, "", file); split(file, part, "-")
            printf "\302\267   %s %s %s %s\n", part[1], part[2], $(NF - 1), $NF
        }
        /^Installing collected packages/ && NF > 9 { printf "\302\267   unpacking %d packages\n", NF - 3 }
        { fflush() }' >&2
}

install_packages() {  # ENVIRONMENT LOCK
    say "installing the packages of $2$([ "$1" = "$venv" ] || echo " (230 MB the first time)")"
    pip_install "$1" --require-hashes --only-binary :all: -r "$2" || return 1
    slim "$1"
}

# A fifth of what the wheels unpack are their own tests, sources for C compilers, and parts that nothing here opens.
slim() {
    local packages
    packages="$(echo "$1"/lib/python3*/site-packages)"
    find "$packages" -type d -name tests -prune -exec rm -rf {} +
    find "$packages" -type f -regex '.*\.\(c\|cpp\|h\|hpp\|pxd\|pxi\|pyx\)' -delete
    rm -f "$packages"/pyarrow/*flight* "$packages"/pyarrow/*s3*
    rm -f "$packages"/bokeh_sampledata/_data/{geographic_boundaries,movies}.db
}

build() {  # LOCK: a new environment that replaces the old one
    local python
    python="$(find_python)"
    say "making a virtual environment with $("$python" --version)"
    rm -rf "$fresh"
    trap 'rm -rf "$fresh"' EXIT
    "$python" -m venv --without-pip "$fresh" || fail "$python cannot make a virtual environment; see above"
    "$fresh/bin/python" -m ensurepip --default-pip >/dev/null 2>&1 || install_debians_pip \
        || fail "$python has no pip for virtual environments; install it with: apt install python3-venv"
    find "$fresh" -name __pycache__ -prune -exec rm -rf {} +
    install_packages "$fresh" "$1" && install_project "$fresh" || fail "$not_installed"
    # its programs know where they are
    grep -lIF "$fresh" "$fresh"/bin/* "$fresh/pyvenv.cfg" | xargs -d '\n' sed -i 's|/\.venv\.new\b|/.venv|g'
    rm -rf "$venv"
    mv "$fresh" "$venv"
}

install_project() { pip_install "$1" --no-build-isolation --editable .; }  # ENVIRONMENT

mkdir -p state
exec 9>state/venv.lock
if command -v flock >/dev/null && ! flock --nonblock 9; then
    say "waiting for another quorum command that is installing"
    flock 9
fi

wanted="$1"
[ "$(rank "$wanted")" -gt 0 ] || fail "'$wanted' is no lock file; one of: ${locks[*]}"
{ read -r present && read -r packages && read -r project; } 2>/dev/null <"$stamp" || present="" packages="" project=""
[ "$(rank "$present")" -le "$(rank "$wanted")" ] || wanted="$present"  # what was added once stays

if [ "$packages" != "$(packages_digest)" ]; then
    build "$wanted"
elif [ "$present" != "$wanted" ] || [ "$project" != "$(project_digest)" ]; then
    mv "$stamp" "$stamp.old"  # an interruption from here on means: build anew
    if ! { [ "$present" = "$wanted" ] || install_packages "$venv" "$wanted"; } || ! install_project "$venv"; then
        mv "$stamp.old" "$stamp"
        fail "$not_installed"
    fi
else
    exit 0
fi
printf '%s\n' "$wanted" "$(packages_digest)" "$(project_digest)" >"$stamp"
rm -f "$stamp.old"
