"""Removes one safeguard after the other from a copy of the program: the rows of the board that guard it must turn red.
A row that stays green tests nothing. Safeguards that another one covers are not listed: a lost COMMIT that nobody looks
up is found when the desk is taken up again, and half a line is no whole row."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.board.world import ROOT

COPIED = ("agents", "migrations", "scripts", "templates", "tests", "alembic.ini", "pyproject.toml")


@dataclass(frozen=True)
class Mutant:
    """One safeguard: where it is, and what stands there without it."""

    name: str
    file: str
    old: str
    new: str
    red: tuple[str, ...]


MUTANTS = (
    Mutant(
        "an order that the broker does not know counts as placed",
        "agents/orchestrator/orchestrator.py",
        "outcome = broker.lookup(order.client_order_id)",
        'outcome = OrderOutcome(client_order_id=order.client_order_id, state="acked")',
        ("A02",),
    ),
    Mutant(
        "the paper venue forgets what it accepted",
        "agents/adapters/brokers/paper_venue.py",
        "return row is not None",
        "return False",
        ("A03", "A04"),
    ),
    Mutant(
        "a bar is decided upon as soon as one symbol has it",
        "agents/orchestrator/attendance.py",
        "if missing.any() and not waiting.overdue[t]:",
        "if False:",
        ("G14",),
    ),
    Mutant(
        "what was decided before a standstill is sent after it",
        "agents/orchestrator/orchestrator.py",
        "if halted or went_stale():",
        "if halted:",
        ("B01b",),
    ),
    Mutant(
        "a copy of weights is not compared with the database's",
        "agents/orchestrator/weights_in_force.py",
        "if truth is None or copy.weights == truth.weights:",
        "if True:",
        ("D11",),
    ),
    Mutant(
        "an order whose answer is lost is sent again",
        "agents/adapters/brokers/account_broker.py",
        """error=error
            )
            return _outcome(order, "unknown", str(error))""",
        """error=error
            )
            return self._place(order)""",
        ("F01", "F05", "F06"),
    ),
    Mutant(
        "a fill is booked as often as it is shown",
        "agents/adapters/brokers/venue_books.py",
        "if self._fill_id(trade) not in booked:",
        "if True:",
        ("F07",),
    ),
    Mutant(
        "an order that the exchange does not know yet was never placed",
        "agents/adapters/brokers/account_broker.py",
        "return now_s - self._missing_since_s.setdefault(key, now_s) >= GRACE_S",
        "return True",
        ("F03",),
    ),
    Mutant(
        "steps of quantities are those of the start for ever",
        "agents/adapters/brokers/market_rules.py",
        "if self._now(symbol) != before:",
        "if False:",
        ("F13",),
    ),
    Mutant(
        "what is refused for its form is sent again and again",
        "agents/adapters/brokers/market_rules.py",
        "if self._halted.get(symbol) == self._now(symbol):",
        "if False:",
        ("F13",),
    ),
    Mutant(
        "who is limited goes on asking",
        "agents/adapters/exchanges/private_account.py",
        "self._alone_until_s = max(self._alone_until_s, self._clock.monotonic_s() + wait_s)",
        "return",
        ("F17",),
    ),
    Mutant(
        "a market that is gone ends the look at all others",
        "agents/adapters/brokers/venue_books.py",
        "except DataError as error:",
        "except ZeroDivisionError as error:",
        ("F20",),
    ),
    Mutant(
        "orders leave however many they are",
        "agents/orchestrator/order_rate.py",
        'room = min(count, free) if self._limit.action == "enforce" else count',
        "room = count",
        ("F21",),
    ),
    Mutant(
        "an order leaves at whatever price",
        "agents/orchestrator/price_distance.py",
        'kept = far if self._limit.action == "enforce" else set()',
        "kept: set[str] = set()",
        ("F19",),
    ),
    Mutant(
        "what the books differ on is sent",
        "agents/orchestrator/reconciliation.py",
        "if not standing.ready or order.symbol in standing.blocked:",
        "if not standing.ready:",
        ("F16",),
    ),
    Mutant(
        "a lost answer to a cancel counts as a cancel",
        "agents/adapters/brokers/account_broker.py",
        'raise ServiceError(f"whether {order.client_order_id} was taken back is not known: {error}") from None',
        "return True",
        ("F09",),
    ),
    Mutant(
        "a desk takes up whatever account its settings name",
        "agents/wiring/account.py",
        "if before is not None and (before.broker, before.mode) != (now.broker, now.mode):",
        "if False:",
        ("F23",),
    ),
    Mutant(
        "a decision may have two orders of a symbol",
        "migrations/versions/0027_orders_that_rest.py",
        '"uq_orders_decision", "orders", ["decision_time", "symbol"], unique=True, postgresql_where=sa.text(ours)',
        '"uq_orders_decision", "orders", ["decision_time", "symbol"], unique=False, postgresql_where=sa.text(ours)',
        ("F06",),
    ),
    Mutant(
        "who wants the desk has it",
        "agents/adapters/database/locked_session.py",
        "SELECT pg_try_advisory_lock(%s), pg_backend_pid(), a.backend_start",
        "SELECT %s::bigint IS NOT NULL, pg_backend_pid(), a.backend_start",
        ("B02",),
    ),
    Mutant(
        "no bar is too old to open a position",
        "agents/orchestrator/daemon.py",
        'return self._data.clock == "system" and closed < self._around.calendar.stale_before(now)',
        "return False",
        ("B01b",),
    ),
    Mutant(
        "a clock that drifts is only told of",
        "agents/wiring/daemon.py",
        "only_shrink=drift.only_shrink,",
        "",
        ("F25",),
    ),
    Mutant(
        "the last state that was pushed of a candle counts",
        "agents/adapters/exchanges/candle_stream.py",
        'if k["x"] is True:',
        "if True:",
        ("F26",),
    ),
)


def try_mutants(only: list[str], seed: int) -> int:
    """Try each mutant on its rows (those of `only` where some are named); 1 where a row stays green."""
    green = 0
    for mutant in MUTANTS:
        rows = [row for row in mutant.red if not only or row in only]
        if not rows:
            continue
        verdicts = _verdicts(mutant, rows, seed)
        for row in rows:
            red = verdicts.get(row) == "FAIL"
            green += not red
            print(f"{'red' if red else 'GREEN':6} {row}  {mutant.name}: {verdicts.get(row, 'no result')}", flush=True)
    print(f"\n{'every safeguard is guarded' if not green else f'{green} rows stay green without their safeguard'}")
    return 1 if green else 0


def _verdicts(mutant: Mutant, rows: list[str], seed: int) -> dict[str, str]:
    """What the board says of a copy of the program without this safeguard."""
    # Always the same folder: machine code is cached by the place of its source, and compiling takes each daemon a minute.
    folder = Path(tempfile.gettempdir()) / f"quorum-mutant-{os.getuid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)
        file = folder / mutant.file
        text = file.read_text()
        assert text.count(mutant.old) == 1, f"{mutant.file}: {mutant.old!r} stands there {text.count(mutant.old)} times"
        file.write_text(text.replace(mutant.old, mutant.new))
        results = folder / "results.json"
        command = [sys.executable, "scripts/fault_board.py", "--jobs", "1", "--seed", str(seed), "--json", str(results)]
        subprocess.run(
            [*command, "--case", *rows],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        tries = json.loads(results.read_text()) if results.exists() else []
        return {row: _worst([r["verdict"] for r in tries if r["id"] == row]) for row in rows}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _worst(verdicts: list[str]) -> str:
    return next((word for word in ("FAIL", "INVALID", "PASS") if word in verdicts), "no result")
