#!/usr/bin/env bash
# Sets everything up where needed, then runs the scheduled meta agents: analyzer, optimizer, project manager.
#   ./start_meta_agents.sh                       continuously, each when it falls due
#   ./start_meta_agents.sh --once                one full cycle now
#   ./start_meta_agents.sh --once --only weight_optimizer
#   ./start_meta_agents.sh --only JOB            performance_analyzer, weight_optimizer or project_manager
set -euo pipefail
cd "$(dirname "$0")"
./scripts/setup_venv.sh requirements.lock
exec .venv/bin/quorum meta "$@"
