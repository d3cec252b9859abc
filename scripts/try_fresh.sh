#!/usr/bin/env bash
# Tries the README's two commands on a machine that has nothing: a bare Debian in a folder, with an ordinary user in it.
#   sudo scripts/try_fresh.sh SUITE [OPTIONS]        SUITE: bookworm, trixie, or another that debootstrap knows
#     --demo-only           only ./start_trading.sh --demo, not ./scripts/run_tests.sh
#     --twice               the demo a second time: what it takes of the disk then
#     --venv                install python3-venv (default: only python3)
#     --servers             install PostgreSQL, TimescaleDB (where the suite has it) and Redis; else the program fetches them
#     --as-root             run the commands as root (default: as an ordinary user)
#     --copy-host-config    give it this machine's apt and pip configuration, its proxies and CA certificates
#     --mirror URL          another mirror than debootstrap's own
#     --from DIR            copy this bare Debian, which debootstrap made before, instead of making one
#     --folder DIR          where to build it (default: a new folder in /var/tmp); it must not exist
# It runs in mount and process namespaces of its own: whatever happens, no mount and no process is left, and the folder
# is removed. It takes 3 GB of disk and, with the tests, a quarter of an hour; it is meant for people, not for CI.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
visitor=visitor

say() { printf '· [%s] %s\n' "$(date -u -d "@$SECONDS" +%M:%S)" "$*" >&2; }
fail() { printf 'try_fresh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; }

demo_only=no twice=no venv=no servers=no as_root=no host_config=no mirror="" from="" folder="" suite=""
read_options() {
    while [ $# -gt 0 ]; do
        case "$1" in --mirror | --from | --folder) [ $# -gt 1 ] || fail "$1 needs a value" ;; esac
        case "$1" in
            --demo-only) demo_only=yes ;;
            --twice) twice=yes ;;
            --venv) venv=yes ;;
            --servers) servers=yes ;;
            --as-root) as_root=yes ;;
            --copy-host-config) host_config=yes ;;
            --mirror) mirror="$2"; shift ;;
            --from) from="$2"; shift ;;
            --folder) folder="$2"; shift ;;
            -h | --help) usage; exit 0 ;;
            -*) fail "unknown option $1; see scripts/try_fresh.sh --help" ;;
            *) [ -z "$suite" ] || fail "one SUITE at a time: $suite or $1"; suite="$1" ;;
        esac
        shift
    done
    [ -n "$suite" ] || fail "which SUITE? for example: scripts/try_fresh.sh trixie"
}

check_host() {
    [ "$(id -u)" = 0 ] || fail "a bare Debian can only be made by root; run: sudo $0 $suite"
    [ -z "$from" ] || [ -d "$from/usr" ] \
        || fail "$from holds no Debian; make one: debootstrap --variant=minbase $suite $from"
    [ -n "$from" ] || command -v debootstrap >/dev/null \
        || fail "debootstrap is not installed; run: apt install debootstrap"
    [ -n "$from" ] || [ -e "/usr/share/debootstrap/scripts/$suite" ] \
        || fail "debootstrap knows no suite '$suite'; see /usr/share/debootstrap/scripts"
    unshare --mount --pid --fork true 2>/dev/null \
        || fail "this machine lets nobody make namespaces (unshare); use a virtual machine"
    [ -z "$folder" ] || [ ! -e "$folder" ] || fail "$folder exists; name a new folder"
}

# ---------------------------------------------------------------- inside the namespaces

inside() {  # COMMAND, as root
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

make_debian() {
    say "making a bare $suite in $root"
    if [ -n "$from" ]; then
        cp -a "$from/." "$root"
    else
        debootstrap --variant=minbase "$suite" "$root" $mirror >"$log" 2>&1 \
            || { tail -n 5 "$log" >&2; fail "debootstrap failed; see above"; }
    fi
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"  # packages start no services here
    chmod +x "$root/usr/sbin/policy-rc.d"
}

copy_apt_config() { apt-config dump | grep '^Acquire::' | grep -v '""' >"$root/etc/apt/apt.conf.d/90host" || true; }

copy_pip_config() {  # an index of one's own, proxies, certificates
    local file
    mkdir -p "$home/.config/pip"
    for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
        [ ! -f "$file" ] || cp "$file" "$root$file"
    done
    for file in "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"; do
        [ ! -f "$file" ] || cp "$file" "$home/.config/pip/pip.conf"
    done
    mapfile -t environment < <(env | grep -iE '^(PIP_[A-Z_]+|[a-z]+_proxy|SSL_CERT_FILE)=')
}

install_packages() {
    local packages=(python3 ca-certificates) timescaledb
    [ "$venv" = no ] || packages+=(python3-venv)
    inside apt-get update -qq
    if [ "$servers" = yes ]; then
        timescaledb="$(inside apt-cache search --names-only '^postgresql-[0-9]+-timescaledb$' | cut -d' ' -f1)"
        [ -n "$timescaledb" ] || say "$suite has no TimescaleDB: PostgreSQL comes without it"
        packages+=("${timescaledb:-postgresql}" redis-server)
    fi
    say "installing ${packages[*]}"
    inside apt-get install -qq --no-install-recommends "${packages[@]}" >"$log" 2>&1 \
        || { tail -n 5 "$log" >&2; fail "apt failed; see above"; }
}

copy_project() {
    say "copying the project as it is here"
    mkdir -p "$home/quorum"
    git -C "$here" -c safe.directory="$here" ls-files -z --cached --others --exclude-standard \
        | (cd "$here" && while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done) \
        | tar -C "$here" --null --files-from=- --create | tar -C "$home/quorum" --extract --no-same-owner
    inside chown -R "$user:" "${home#"$root"}"
}

as_user() {  # COMMAND: as the user would type it in the project's folder; the environment is a fresh login's
    local login=(HOME="${home#"$root"}" USER="$user" LOGNAME="$user" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8)
    chroot --userspec="$user:$user" "$root" /usr/bin/env -i "${login[@]}" "${environment[@]}" \
        bash -c "cd ~/quorum && $1" 2>&1 | tee "$log"
    return "${PIPESTATUS[0]}"
}

timed_demo() {
    local started=$SECONDS
    say "./start_trading.sh --demo"
    as_user "./start_trading.sh --demo" || fail "the demo failed on $machine; see above"
    took=$((SECONDS - started))
    equity="$(grep -oE 'equity +[0-9,]+' "$log" | tail -n 1 | grep -oE '[0-9,]+$')" \
        || fail "the demo ended without an equity on $machine; see above"
}

size_of() { du -sm "$@" 2>/dev/null | tail -n 1 | cut -f1; }  # MB

try() {
    local user="$visitor" home="$root/home/$visitor" log="$root.log" environment=() took equity state machine tests=""
    [ "$as_root" = no ] || { user=root home="$root/root"; }
    make_debian
    [ "$as_root" = yes ] || inside useradd --create-home --shell /bin/bash "$user"
    [ "$host_config" = no ] || copy_apt_config
    install_packages
    [ "$host_config" = no ] || copy_pip_config
    copy_project
    machine="$suite, $(inside python3 --version), $([ "$venv" = yes ] && echo with || echo without) python3-venv"
    machine+=", servers $([ "$servers" = yes ] && echo installed || echo fetched), as $user"
    timed_demo
    state="$([ "$as_root" = yes ] && echo "$root/var/lib/quorum" || echo "$home/.local/state/quorum")"
    machine+=": the demo took $took s, equity $equity"
    machine+="; on disk: .venv $(size_of "$home/quorum/.venv") MB, state $(size_of "$state") MB"
    if [ "$twice" = yes ]; then
        timed_demo
        machine+="; again $took s, equity $equity, state $(size_of "$state") MB"
    fi
    if [ "$demo_only" = no ]; then
        say "./scripts/run_tests.sh"
        as_user "./scripts/run_tests.sh" || fail "the tests failed on $machine; see above"
        tests="; tests: $(grep -E '[0-9]+ passed' "$log" | tail -n 1 | tr -d '=' | xargs)"
    fi
    printf '%s%s\n' "$machine" "$tests"
}

# ----------------------------------------------------------------

if [ "${1:-}" = --inside ]; then
    root="$2"
    shift 2
    read_options "$@"
    try
    exit 0
fi
read_options "$@"
check_host
root="${folder:-$(mktemp -d /var/tmp/quorum-fresh-XXXXXX)}"
trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$root"
chmod 755 "$root"  # the ordinary user's root folder: mktemp makes one for root alone
unshare --mount --pid --fork --kill-child "$0" --inside "$root" "$@"
