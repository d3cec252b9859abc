#!/usr/bin/env bash
# Rewrites both lock files from pyproject.toml (for maintainers; needs `pip install uv`).
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet --no-header --no-annotate "$@"; }
compile --extra build --extra demo --output-file requirements.lock
compile --extra build --extra demo --extra dev --output-file requirements-dev.lock
