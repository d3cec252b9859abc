#!/usr/bin/env bash
# Sets everything up where needed, then runs the project manager alone: alarms, reports, mail. It can run beside
# start_meta_agents.sh: each job is led by one process, and the next one takes it over when that ends.
#   scripts/start_project_manager.sh             continuously, a report each time it falls due
#   scripts/start_project_manager.sh --once      one report now
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup_venv.sh requirements.lock
exec .venv/bin/quorum meta --only project_manager "$@"
