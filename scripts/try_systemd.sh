#!/usr/bin/env bash
# Tries the systemd units on a real systemd: a Debian of its own, booted in a container, in which things go wrong.
#   sudo scripts/try_systemd.sh [OPTIONS]
#     --suite NAME          which Debian (default: trixie)
#     --from DIR            copy this Debian with systemd, which debootstrap made before, instead of making one
#     --folder DIR          where to build it (default: a new folder in /var/tmp); it must not exist
#     --keep                leave the folder, to look around
#     --copy-host-config    give it this machine's apt and pip configuration, its proxies and CA certificates
# A desk with two symbols trades a bar each second while processes and servers are killed and frozen, the disk fills up,
# the machine is switched off, the code is changed and a setting is wrong. Each line says what happened and how long it took to come back;
# at the end every bar must have been decided upon once. It takes 4 GB of disk and a quarter of an hour; it needs root,
# debootstrap and systemd-container (Debian's packages), and is meant for people, not for CI.
set -uo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
suite=trixie from="" folder="" keep=no host_config=no machine="quorum-try-$$" failures=0
project=/home/quorum/quorum state=/var/lib/quorum-try
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-venv,ca-certificates,procps,git

say() { printf '· [%s] %s\n' "$(date -u -d "@$SECONDS" +%M:%S)" "$*" >&2; }
fail() { printf 'try_systemd: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case "$1" in --suite | --from | --folder) [ $# -gt 1 ] || fail "$1 needs a value" ;; esac
    case "$1" in
        --suite) suite="$2"; shift ;;
        --from) from="$2"; shift ;;
        --folder) folder="$2"; shift ;;
        --keep) keep=yes ;;
        --copy-host-config) host_config=yes ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1; see scripts/try_systemd.sh --help" ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || fail "a container can only be booted by root; run: sudo $0"
for program in systemd-nspawn debootstrap nsenter; do
    command -v "$program" >/dev/null || fail "$program is not installed; run: apt install systemd-container debootstrap"
done
[ -z "$folder" ] || [ ! -e "$folder" ] || fail "$folder exists; name a new folder"
root="${folder:-$(mktemp -d /var/tmp/quorum-systemd-XXXXXX)}"

# ---------------------------------------------------------------- the container

leader() { pgrep -P "$nspawn" | head -n 1; }

inside() {  # COMMAND as root of the booted machine
    nsenter --target "$(leader)" --all --wdns=/ /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

as_quorum() { inside runuser -u quorum -- bash -c "cd $project && $1"; }

boot() {
    UNIFIED_CGROUP_HIERARCHY=1 SYSTEMD_SECCOMP=0 systemd-nspawn --quiet --boot --directory="$root" \
        --machine="$machine" --register=no --keep-unit --kill-signal=SIGRTMIN+3 >>"$root.log" 2>&1 &
    nspawn=$!
    until [ -n "$(leader)" ] && inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
        sleep 0.5
        kill -0 "$nspawn" 2>/dev/null || { tail -n 5 "$root.log" >&2; fail "the container did not boot; see above"; }
    done
}

power_off() {  # as if the plug were pulled
    kill -KILL "$(leader)" 2>/dev/null
    wait "$nspawn" 2>/dev/null
}

clean_up() {
    [ -z "${nspawn:-}" ] || ! kill -0 "$nspawn" 2>/dev/null || power_off
    umount --lazy "$root$state" 2>/dev/null
    [ "$keep" = yes ] || rm -rf --one-file-system "$root" "$root.log"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

make_machine() {
    say "making a $suite with systemd in $root"
    if [ -n "$from" ]; then
        mkdir -p "$root" && cp -a "$from/." "$root"
    else
        debootstrap --include="$packages" "$suite" "$root" >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; fail "debootstrap failed"; }
    fi
    chmod 755 "$root"
    if [ "$host_config" = yes ]; then
        apt-config dump | grep '^Acquire::' | grep -v '""' >"$root/etc/apt/apt.conf.d/90host"
        for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/hosts /etc/resolv.conf; do
            [ ! -f "$file" ] || cp --remove-destination "$file" "$root$file"
        done
        for file in "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"; do
            [ ! -f "$file" ] || cp "$file" "$root/etc/pip.conf"
        done
    fi
    chroot "$root" useradd --create-home --shell /bin/bash quorum
    git clone -q "$here" "$root$project"
    cat >"$root$project/quorum.toml" <<TOML
state_dir = "$state"
[desk]
name = "try"
[data]
clock = "bars"
poll_s = 0.2
timezone = "UTC"
session_open = "15:00"
session_close = "21:00"
[meta]
tick_s = 2.0
TOML
    chroot "$root" chown -R quorum: /home/quorum
    # The desk's state lies on a small disk of its own, which can be filled and outlives the machine's power cuts.
    mkdir -p "$root$state"
    mount -t tmpfs -o size=900m,mode=0755 tmpfs "$root$state"
    chroot "$root" chown quorum: "$state"
}

# ---------------------------------------------------------------- the desk

fed=0
feed() {  # COUNT more bars of two symbols, at once
    as_quorum "python3 - $fed $1" <<'PYTHON'
import datetime, math, pathlib, sys
first, count = int(sys.argv[1]), int(sys.argv[2])
path = pathlib.Path("bars/all.csv")
path.parent.mkdir(exist_ok=True)
lines = [] if path.exists() else ["symbol,time,open,high,low,close,volume"]
for t in range(first, first + count):
    day = datetime.date(2010, 1, 1) + datetime.timedelta(days=t)
    for k, symbol in enumerate(("AAA", "BBB")):
        o, c = (50 * math.exp(0.3 * math.sin((t + d) / (17 + 6 * k)) + 0.02 * math.sin(7.3 * (t + d) + k)) for d in (-1, 0))
        lines.append(f"{symbol},{day},{o!r},{max(o, c) * 1.004!r},{min(o, c) * 0.996!r},{c!r},1000000")
with path.open("a") as stream:
    stream.write("\n".join(lines) + "\n")
PYTHON
    fed=$((fed + $1))
}

decisions() { as_quorum ".venv/bin/quorum status --json ${1:+--desk $1}" 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["counts"]["decisions"])' 2>/dev/null || echo 0; }

recovers() {  # WHAT [SECONDS]: three more bars are decided within the time
    local what="$1" limit="${2:-60}" begun=$SECONDS
    feed 3
    while [ "$(decisions)" != "$fed" ]; do
        if [ $((SECONDS - begun)) -gt "$limit" ]; then
            printf 'FAIL  %-62s %s of %s decisions after %s s\n' "$what" "$(decisions)" "$fed" "$limit"
            inside journalctl -u 'quorum-*' -n 12 --no-pager -o cat | cut -c1-200
            failures=$((failures + 1))
            return 1
        fi
        sleep 0.5
    done
    printf 'ok    %-62s %3s s\n' "$what" $((SECONDS - begun))
}

expect() {  # WHAT, then a command that must succeed
    local what="$1" begun=$SECONDS; shift
    if "$@" >/dev/null 2>&1; then
        printf 'ok    %-62s %3s s\n' "$what" $((SECONDS - begun))
    else
        printf 'FAIL  %s\n' "$what"; failures=$((failures + 1))
    fi
}

pid_of() { inside systemctl show --property=MainPID --value "$1"; }
active() { [ "$(inside systemctl is-active "$1")" = active ]; }
server() { inside pgrep -u quorum -o "$1"; }
restarted_within() {  # UNIT OLD_PID SECONDS
    local begun=$SECONDS
    until [ "$(pid_of "$1")" != "$2" ] && [ "$(pid_of "$1")" != 0 ] && active "$1"; do
        [ $((SECONDS - begun)) -le "$3" ] || return 1
        sleep 0.3
    done
}

# ---------------------------------------------------------------- what is tried

try() {
    local pid unit begun
    make_machine
    boot
    say "installing the units (the environment, then the servers, are fetched)"
    feed 60
    as_quorum "./scripts/setup_venv.sh requirements.lock" >>"$root.log" 2>&1 || fail "setup_venv failed: $(tail -n 3 "$root.log")"
    inside bash -c "cd $project && ./scripts/install_systemd.sh system quorum" >>"$root.log" 2>&1 \
        || fail "install_systemd failed: $(tail -n 5 "$root.log")"
    recovers "three units installed and started" 300
    inside mkdir -p /etc/systemd/system/quorum-trading.service.d /etc/systemd/system/quorum-meta.service.d
    for unit in trading meta; do  # the watchdog's five minutes are long to wait for
        printf '[Service]\nWatchdogSec=20\n' | inside tee "/etc/systemd/system/quorum-$unit.service.d/try.conf" >/dev/null
    done
    inside systemctl daemon-reload
    inside systemctl restart quorum-trading quorum-meta
    recovers "restarted with a watchdog of 20 s"
    for unit in services trading meta; do expect "quorum-$unit is active" active "quorum-$unit"; done
    expect "Type=notify: systemd knows that it is ready" \
        bash -c "[ '$(inside systemctl show -p StatusText -p NotifyAccess --value quorum-trading | tr -d '\n')' != '' ]"

    for unit in trading meta; do
        pid="$(pid_of quorum-$unit)"; inside kill -9 "$pid"
        expect "kill -9 of the $unit daemon: back within 10 s" restarted_within quorum-$unit "$pid" 10
    done
    recovers "after both were killed"
    for unit in trading meta; do
        pid="$(pid_of quorum-$unit)"; inside kill -STOP "$pid"
        expect "SIGSTOP of the $unit daemon: the watchdog starts it again" restarted_within quorum-$unit "$pid" 60
    done
    recovers "after both were frozen"

    inside kill -9 "$(server postgres)"; recovers "kill -9 of PostgreSQL"
    inside kill -9 "$(server redis-server)"; recovers "kill -9 of Redis"
    inside pkill -STOP -u quorum postgres; recovers "SIGSTOP of PostgreSQL, all of it" 120
    inside kill -STOP "$(server redis-server)"; recovers "SIGSTOP of Redis"
    pid="$(pid_of quorum-services)"
    [ "$pid" = 0 ] || { inside kill -9 "$pid"; recovers "kill -9 of what watches over the servers"; }

    inside bash -c "head -c 2G /dev/zero >$state/ballast" 2>/dev/null
    feed 3; sleep 12
    expect "full disk: the trading daemon lives" active quorum-trading
    inside rm -f "$state/ballast"; recovers "the disk has room again" 90

    begun=$SECONDS
    inside systemctl stop quorum-trading quorum-meta
    expect "both daemons stopped within 10 s" test $((SECONDS - begun)) -le 10
    inside systemctl start quorum-trading quorum-meta; recovers "started again"

    feed 40; sleep 1; power_off; boot
    for unit in services trading meta; do expect "after a power cut and a boot quorum-$unit is active" active "quorum-$unit"; done
    recovers "power cut in the middle of a cycle, then a boot" 180

    as_quorum "echo '# changed' >>agents/__init__.py && git -c user.name=try -c user.email=try@localhost commit -qam upgrade"
    recovers "the code changed under the running desk"
    inside systemctl restart quorum-trading quorum-meta; recovers "restarted on the changed code"

    expect "no decision is lost or doubled, every check is clean" as_quorum ".venv/bin/quorum verify"
    expect "journald has the daemon's lines" \
        inside bash -c "journalctl -u quorum-trading -o cat --no-pager | grep -q msg=decided"
    fails_for_good
    second_desk
    user_units
}

second_desk() {  # units of a template, on the same servers
    as_quorum ".venv/bin/quorum desk new second && sed -n '/^.data/,\$p' quorum.toml | grep -v '^.data' >>desks/second.toml"
    as_quorum "mkdir -p bars/second && cp bars/all.csv bars/second/"
    expect "a second desk: its units are installed" \
        inside bash -c "cd $project && ./scripts/install_systemd.sh --desk second system quorum"
    expect "a second desk: both of its units are active" second_is_active
    expect "a second desk: decides what the first did" second_decides
    expect "a second desk: one PostgreSQL for both" test "$(inside pgrep -u quorum -c -f 'postgres -D')" = 1
    inside systemctl disable --now quorum-trading@second quorum-meta@second >>"$root.log" 2>&1
}

second_is_active() { active quorum-trading@second && active quorum-meta@second; }
second_decides() {
    local begun=$SECONDS
    until [ "$(decisions second)" = "$fed" ]; do [ $((SECONDS - begun)) -le 120 ] || return 1; sleep 1; done
}

fails_for_good() {  # a setting that is wrong: systemd gives the unit up and starts OnFailure's, which tells
    local limits=/etc/systemd/system/quorum-trading.service.d/limits.conf begun=$SECONDS
    printf '[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=1\n' | inside tee "$limits" >/dev/null  # ten take a minute
    as_quorum "cp quorum.toml quorum.toml.good && sed -i 's/^poll_s/pol_s/' quorum.toml"
    inside systemctl daemon-reload
    inside systemctl restart quorum-trading 2>/dev/null
    until [ "$(inside systemctl is-failed quorum-trading)" = failed ] || [ $((SECONDS - begun)) -gt 90 ]; do sleep 0.5; done
    expect "a wrong setting: systemd gives the unit up" test "$(inside systemctl is-failed quorum-trading)" = failed
    expect "its own lines name the setting" journal_has quorum-trading 'pol_s'
    expect "OnFailure says which unit it is" journal_has 'quorum-failed@*' 'quorum-trading.service has failed on'
    printf 'what a person sees:\n'
    inside journalctl -u quorum-trading -u 'quorum-failed@*' -g 'pol_s|has failed on' -n 2 --no-pager -o cat | cut -c1-150 | sed 's/^/    /'
    as_quorum "mv quorum.toml.good quorum.toml"
    inside rm "$limits"
    inside systemctl daemon-reload
    inside systemctl reset-failed quorum-trading
    inside systemctl start quorum-trading; recovers "the setting mended and the unit started"
}

journal_has() {  # UNIT WORDS, within 30 s
    local begun=$SECONDS
    until inside journalctl -u "$1" -o cat --no-pager | grep -q "$2"; do
        [ $((SECONDS - begun)) -le 30 ] || return 1
        sleep 0.5
    done
}

user_units() {  # the same desk for an ordinary login, without root
    inside systemctl disable --now quorum-trading quorum-meta quorum-services >>"$root.log" 2>&1
    inside loginctl enable-linger quorum
    local login="XDG_RUNTIME_DIR=/run/user/$(inside id -u quorum) DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(inside id -u quorum)/bus"
    sleep 3  # its manager starts
    expect "user units: installed by an ordinary user" as_quorum "$login ./scripts/install_systemd.sh user"
    recovers "user units: the desk trades on" 180
    as_quorum "$login systemctl --user kill --signal=KILL quorum-trading"
    recovers "user units: back after kill -9"
}

try
echo
[ "$failures" = 0 ] && echo "all of it came back by itself" || { echo "$failures failed"; exit 1; }
