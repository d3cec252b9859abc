#!/usr/bin/env bash
# Installs both daemons as systemd services, with a watchdog and hardening.
#   scripts/install_systemd.sh user             for you alone (systemctl --user); no root needed
#   scripts/install_systemd.sh system [USER]    for the machine, as USER (default: quorum); needs root
#   scripts/install_systemd.sh print user|system [USER]   show the units, install nothing
#   --web          before these: the dashboard too, on loopback (docs/dashboard.md)
#   --desk NAME    before these: another desk, desks/NAME.toml, as quorum-trading@NAME and quorum-meta@NAME
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"
fail() { printf 'quorum: %s\n' "$*" >&2; exit 1; }
desk="" web=no
if [ "${1:-}" = --web ]; then web=yes; shift; fi
if [ "${1:-}" = --desk ]; then
    desk="${2:-}"
    [ -f "desks/$desk.toml" ] || fail "there is no desks/$desk.toml; make it: quorum desk new NAME"
    shift 2
fi
show=no
if [ "${1:-}" = print ]; then show=yes; shift; fi
kind="${1:-}"
account="${2:-quorum}"
case "$kind" in
    user) folder="${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user"; target=default.target; control=(systemctl --user) ;;
    system) folder=/etc/systemd/system; target=multi-user.target; control=(systemctl) ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

unit() {  # NAME DESCRIPTION COMMAND
    cat <<UNIT
[Unit]
Description=Quorum: $2
After=network-online.target quorum-services.service
Wants=network-online.target quorum-services.service
StartLimitIntervalSec=600
StartLimitBurst=10
OnFailure=quorum-failed@%n.service

[Service]
Type=notify
NotifyAccess=main
ExecStart=$root/.venv/bin/quorum $3
WorkingDirectory=$root
Restart=always
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=30
WatchdogSec=300
KillMode=mixed
Environment=MALLOC_ARENA_MAX=2
Environment=QUORUM_KEEP_SERVERS=false
EnvironmentFile=-$root/.env
LimitCORE=0
MemoryMax=4G
OOMPolicy=continue
TasksMax=512
$(hardened)

[Install]
WantedBy=$target
UNIT
}

hardened() {  # what every unit may not do
    cat <<UNIT
UMask=0077
NoNewPrivileges=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
$( [ "$kind" = system ] && confined )
UNIT
}

confined() {  # what needs mount namespaces and an account of its own: a user's own manager may not always make them
    cat <<UNIT
User=$account
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UNIT
}

# The embedded servers live in a unit of their own, so that restarting a daemon does not take them down. It stays and
# starts again what dies; the daemons leave that to it (QUORUM_KEEP_SERVERS).
services() {
    cat <<UNIT
[Unit]
Description=Quorum: its embedded PostgreSQL and Redis, where DATABASE_URL and REDIS_URL name none
After=network-online.target
OnFailure=quorum-failed@%n.service

[Service]
Type=notify
NotifyAccess=main
ExecStart=$root/.venv/bin/quorum services run
WorkingDirectory=$root
Restart=always
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=90
WatchdogSec=300
KillMode=mixed
EnvironmentFile=-$root/.env
LimitCORE=0
$(hardened)

[Install]
WantedBy=$target
UNIT
}

# A daemon that does not come up again, or cannot: the journal's last lines of it, and a mail where one is configured.
failed() {
    cat <<UNIT
[Unit]
Description=Quorum: tell that %i has failed

[Service]
Type=oneshot
ExecStart=$root/.venv/bin/quorum failed %i
WorkingDirectory=$root
EnvironmentFile=-$root/.env
TimeoutStartSec=120
$(hardened)
$( [ "$kind" = system ] && echo SupplementaryGroups=systemd-journal )
UNIT
}

write_units() {  # FOLDER
    failed >"$1/quorum-failed@.service"
    services >"$1/quorum-services.service"
    unit quorum-trading "the trading daemon" trade >"$1/quorum-trading.service"
    unit quorum-meta "analyzer, optimizer, reports" meta >"$1/quorum-meta.service"
    unit quorum-web "the dashboard" web >"$1/quorum-web.service"
    unit quorum-web@ "the dashboard of desk %i" "web --desk %i" >"$1/quorum-web@.service"
    unit quorum-trading@ "the trading daemon of desk %i" "trade --desk %i" >"$1/quorum-trading@.service"
    unit quorum-meta@ "analyzer, optimizer, reports of desk %i" "meta --desk %i" >"$1/quorum-meta@.service"
}

if [ "$show" = yes ]; then
    folder="$(mktemp -d)"; write_units "$folder"; tail -n +1 "$folder"/*.service; rm -r "$folder"
    exit 0
fi
command -v systemctl >/dev/null || fail "this machine has no systemd; run ./start_trading.sh and ./start_meta_agents.sh under another supervisor"
if [ "$kind" = system ]; then
    [ "$(id -u)" = 0 ] || fail "installing for the machine needs root; or use: scripts/install_systemd.sh user"
    id "$account" >/dev/null 2>&1 || fail "there is no user '$account'; make one: useradd --system --create-home $account"
fi
[ -x .venv/bin/quorum ] || ./scripts/setup_venv.sh requirements.lock
[ "$web" = no ] || ./scripts/setup_venv.sh requirements-web.lock
mkdir -p "$folder"
if [ "$kind" = system ]; then install -d -o "$account" logs bars reports state; fi
write_units "$folder"
"${control[@]}" daemon-reload
daemons=("quorum-trading${desk:+@$desk}" "quorum-meta${desk:+@$desk}")
[ "$web" = no ] || daemons+=("quorum-web${desk:+@$desk}")
"${control[@]}" enable --now quorum-services.service "${daemons[@]/%/.service}"
echo "installed in $folder; look with: ${control[*]} status ${daemons[*]}"
[ "$kind" = user ] && echo "to run without you being logged in: loginctl enable-linger $USER" || true
