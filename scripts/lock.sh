#!/usr/bin/env bash
# Rewrites the lock files from pyproject.toml (for maintainers; needs `pip install uv`). Pins stay unless asked:
#   scripts/lock.sh [--upgrade]
# requirements.lock is what the desk needs; -web adds to it what the dashboard needs, -search what `quorum search` needs,
# -exchanges what prices from exchanges need, -stocks what Yahoo's and Alpaca need, and -dev the tools: each holds those before it. A lock names every
# package with its hashes, so pip installs it without looking for dependencies (--no-deps).
set -euo pipefail
cd "$(dirname "$0")/.."

# What our dependencies ask for and nothing here imports: cvxpy's solvers besides CLARABEL and OSQP (200 MB), OSQP's
# code generation, the tools of the demo's data package, vaderSentiment's own demo.
unused="highspy icalendar scs shapely sparsediffpy"
unused_but_in_dev="joblib requests setuptools"
# What ccxt asks for besides, and does without (faster loops and packing, some exchanges' signatures): not imported here.
# cffi and pycparser are in the desk's lock, newer than what ccxt names.
unused_by_prices="aiohttp-fast-zlib zlib-ng uvloop winloop orjson coincurve cffi pycparser"
# What a development tool holds back: PyPortfolioOpt 1.6 reads a private name that SciPy 1.18 no longer has.
held_back="scipy<1.18"
# ccxt asks for this very version, so the dashboard, whose lock comes first, has it too.
as_ccxt="idna==3.18"

compile() {  # LOCK "WITHOUT..." [OPTIONS]
    local lock="$1" without="$2"
    shift 2
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet --no-header \
        --no-annotate --excludes <(printf '%s\n' $without) --output-file "$lock" --extra build --extra demo "$@"
}

compile_addition() {  # LOCK "BASES..." "WITHOUT..." [OPTIONS]: of the bases, each holds those before it
    local lock="$1" bases="$2" without="$3" pins
    shift 3
    pins="$(cat $bases | sed -n 's/ \\$//; /^[A-Za-z0-9]/p' | sort -u)"
    compile "$lock" "$without" --constraints <(echo "$pins") \
        $(echo "$pins" | sed 's/==.*//; s/^/--no-emit-package /' | sort -u) "$@"
    sed -i "1i -r ${bases##* }" "$lock"
}

compile requirements.lock "$unused $unused_but_in_dev" --constraints <(echo "$held_back") "$@"
desk=requirements.lock web=requirements-web.lock search=requirements-search.lock exchanges=requirements-exchanges.lock
stocks=requirements-stocks.lock
compile_addition "$web" "$desk" "$unused $unused_but_in_dev" --extra web --constraints <(echo "$as_ccxt") "$@"
compile_addition "$search" "$desk $web" "$unused $unused_but_in_dev" --extra web --extra search "$@"
compile_addition "$exchanges" "$desk $web $search" "$unused joblib setuptools $unused_by_prices" --extra web \
    --extra search --extra exchanges "$@"
compile_addition "$stocks" "$desk $web $search $exchanges" "$unused joblib setuptools $unused_by_prices" --extra web \
    --extra search --extra exchanges --extra stocks "$@"
compile_addition requirements-dev.lock "$desk $web $search $exchanges $stocks" "$unused $unused_by_prices" --extra web \
    --extra search --extra exchanges --extra stocks --extra dev "$@"
