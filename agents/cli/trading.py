"""`quorum trade`, `halt` and `resume`: run the desk, and a person's word about it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from agents.cli.compiling import compile_once
from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.log import configure_logging
from agents.core.settings import load_settings
from agents.core.types import RiskState
from agents.wiring.connections import connect, connect_as_it_is
from agents.wiring.desk_record import desk_journal, order_risk_state
from agents.wiring.integrity import require_intact

LOG_FILE = Path("logs/orchestrator.log")


def trade(options: Namespace, screen: Screen) -> int:
    """The trading plane in the foreground, until it is told to stop."""
    # Here: `halt` should not wait for agents and compiled code.
    from agents.wiring.daemon import trading_daemon

    settings = load_settings(options.settings)
    configure_logging(LOG_FILE, level=settings.log_level)
    connections = connect(settings, demo=False, say=screen.say)
    try:
        with desk_journal(connections) as journal:
            require_intact(connections.trader, SystemClock().now())
            compile_once(settings, screen)
            trading_daemon(settings, connections, journal, SystemClock()).run()
    finally:
        connections.close()
    return 0


def halt(options: Namespace, screen: Screen) -> int:
    """Positions only shrink from now on, and what works at the broker is taken back."""
    return _order_risk_state(options, screen, RiskState.HALTED)


def resume(options: Namespace, screen: Screen) -> int:
    """Out of the halted state, which only a person leaves."""
    return _order_risk_state(options, screen, RiskState.ACTIVE)


def _order_risk_state(options: Namespace, screen: Screen, state: RiskState) -> int:
    if not options.reason.strip():
        raise UsageError("--reason is empty; say in a few words why, it is kept on record")
    connections = connect_as_it_is(load_settings(options.settings))
    try:
        before = order_risk_state(connections, state, options.reason)
    finally:
        connections.close()
    screen.result(
        {"from": str(before), "to": str(state), "reason": options.reason},
        f"ordered: {state} (now {before}); a running desk obeys within one poll, else the next one that starts",
    )
    return 0
