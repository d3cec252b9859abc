#!/usr/bin/env bash
# Sets up what it needs and runs everything: ruff, mypy, import-linter, pytest.
#   scripts/run_tests.sh [PYTEST ARGUMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup_venv.sh requirements-dev.lock
bin=.venv/bin
if [ $# -eq 0 ]; then
    echo "== ruff"; "$bin/ruff" check --quiet .; "$bin/ruff" format --quiet --check .
    echo "== mypy"; "$bin/mypy"
    echo "== import-linter"; "$bin/lint-imports" --no-cache | tail -n 12
fi
echo "== pytest"
exec "$bin/python" -m pytest "$@"
