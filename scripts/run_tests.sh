#!/usr/bin/env bash
# Sets up what it needs, then checks and tests.
#   scripts/run_tests.sh                    everything: ruff, mypy, import-linter, all tests, on every core, and a dozen faults
#   scripts/run_tests.sh quick              in a minute: ruff, mypy, import-linter, and the unit tests that are not slow
#   scripts/run_tests.sh PYTEST ARGUMENTS   only these tests, in one process, such as: tests/unit/pipeline/test_step.py -x
# A search for rare failures with random examples, many of them: scripts/run_tests.sh --hypothesis-profile=explore tests/unit
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"; exit 0 ;; esac
./scripts/setup_venv.sh requirements-dev.lock
bin=.venv/bin
if [ $# -gt 0 ] && [ "$1" != quick ]; then
    exec "$bin/python" -m pytest "$@"
fi
parallel=(--numprocesses auto --maxprocesses 8)
echo "== ruff"; "$bin/ruff" check --quiet .; "$bin/ruff" format --quiet --check .
echo "== mypy"; "$bin/mypy"
echo "== import-linter"; "$bin/lint-imports" --no-cache | tail -n 12
echo "== pytest"
if [ "${1:-}" = quick ]; then
    shift
    exec "$bin/python" -m pytest "${parallel[@]}" -m "not slow" tests/unit tests/test_tidy.py "$@"
fi
# Half of the time tests wait, for daemons and servers: three processes keep two cores busy.
workers=$(( ($(nproc) * 3 + 1) / 2 ))
"$bin/python" -m pytest --numprocesses "$(( workers < 8 ? workers : 8 ))"
echo "== fault board, short form"
exec "$bin/python" scripts/fault_board.py --quick
