#!/usr/bin/env bash
# Sets everything up where needed, then runs the trading daemon in the foreground.
#   ./start_trading.sh                     the daemon, as quorum.toml says
#   ./start_trading.sh --demo [--restart]  thirteen years of real market history through all agents
set -euo pipefail
cd "$(dirname "$0")"
./scripts/setup_venv.sh requirements.lock
case "${1:-}" in
    --demo) shift; exec .venv/bin/quorum demo "$@" ;;
    -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exec .venv/bin/quorum trade --help ;;
    *) exec .venv/bin/quorum trade "$@" ;;
esac
