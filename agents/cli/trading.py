"""`quorum trade`, `halt` and `resume`: run the desk, and a person's word about it."""

from __future__ import annotations

from argparse import Namespace

from agents.adapters.database.broker_accounts import account_on_record
from agents.adapters.database.engine import Row
from agents.adapters.database.journal import PostgresJournal
from agents.cli.compiling import compile_once
from agents.cli.offline import flatten_offline, require_exits_on_record, without_database
from agents.cli.screen import Screen
from agents.cli.trading_arguments import reason_of
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.log import configure_logging
from agents.core.settings import load_settings, settings_path
from agents.core.types import RiskState
from agents.wiring.connections import connect, connect_as_it_is
from agents.wiring.desk_record import desk_journal, kill_file_of, order_risk_state
from agents.wiring.integrity import require_intact


def trade(options: Namespace, screen: Screen) -> int:
    """The trading plane in the foreground, until it is told to stop; or, with --confirm, only a person's word that real
    money is meant."""
    # Here: `halt` should not wait for agents and compiled code.
    from agents.cli.typos import refuse_typos
    from agents.wiring.account import require_account
    from agents.wiring.carrying import carry_over
    from agents.wiring.daemon import trading_daemon
    from agents.wiring.ramp import plan_ramp
    from agents.wiring.venue import require_tradable

    settings = load_settings(options.settings)
    refuse_typos(settings)
    require_tradable(settings)
    confirm_by = f"quorum trade --confirm --settings {settings_path(options.settings).resolve()}"
    configure_logging(settings.log_folder / "orchestrator.log", level=settings.log_level)
    connections = connect(settings, demo=False, say=screen.say)
    try:
        if options.carry_from is not None:
            _tell_carried(screen, carry_over(settings, connections, options.carry_from))
        if options.ramp is not None:
            plan_ramp(settings, connections.trader, SystemClock().now(), options.ramp, options.ramp_days)
        if options.confirm:
            require_account(settings, connections, PostgresJournal(connections.trader), SystemClock(), confirm_by)
            return _tell_account(screen, account_on_record(connections.trader))
        with desk_journal(connections) as journal:
            require_intact(connections.trader, SystemClock().now())
            require_account(settings, connections, journal, SystemClock(), confirm_by)
            compile_once(settings, screen)
            trading_daemon(settings, connections, journal, SystemClock()).run()
    finally:
        connections.close()
    return 0


def _tell_carried(screen: Screen, document: Row) -> None:
    screen.say(f"from {document['from']} to {document['to']}, carried over:")
    for line in document["taken"]:
        screen.say(f"  {line}")
    screen.say("not carried over:")
    for line in document["left"]:
        screen.say(f"  {line}")


def _tell_account(screen: Screen, account: Row | None) -> int:
    words = "this desk trades on paper; nothing needs to be confirmed"
    if account is not None:
        words = f"orders go to {account['broker']} ({account['mode']}); start the desk: quorum trade, or its unit"
    screen.result(account, words)
    return 0


def halt(options: Namespace, screen: Screen) -> int:
    """Positions only shrink from now on, or are scaled down or closed, and what works at the broker is taken back."""
    if options.offline:
        return flatten_offline(options, screen)
    if options.how == "kill":
        return _pull_kill_file(options, screen)
    state = RiskState.REDUCING if options.how == "reduce" else RiskState.HALTED
    return _order_risk_state(options, screen, state)


def resume(options: Namespace, screen: Screen) -> int:
    """Out of the halted state, which only a person leaves."""
    settings = load_settings(options.settings)
    file = kill_file_of(settings)
    if file.pulled() is not None:
        raise UsageError(f"the kill file {file.path} is there, so nothing would be sent; remove it first")
    require_exits_on_record(settings)
    return _order_risk_state(options, screen, RiskState.ACTIVE)


def _pull_kill_file(options: Namespace, screen: Screen) -> int:
    file = kill_file_of(load_settings(options.settings))
    try:
        file.pull(reason_of(options))
    except OSError as error:
        raise ServiceError(f"the kill file {file.path} cannot be written: {error.strerror}") from None
    words = (
        f"{file.path} is there: no order leaves a desk of this state folder; to go on: remove it, then quorum resume"
    )
    screen.result({"kill_file": str(file.path), "reason": options.reason}, words)
    return 0


def _order_risk_state(options: Namespace, screen: Screen, state: RiskState) -> int:
    reason, flatten = reason_of(options), getattr(options, "how", None) == "flatten"
    settings = load_settings(options.settings)
    try:
        connections = connect_as_it_is(settings)
        try:
            before = order_risk_state(connections, state, reason, flatten=flatten)
        finally:
            connections.close()
    except ServiceError as error:
        raise ServiceError(f"{error}; {without_database(settings)}") from None
    more = ", with every position closed" if flatten else ""
    screen.result(
        {"from": str(before), "to": str(state), "flatten": flatten, "reason": reason},
        f"ordered: {state}{more} (now {before}); a running desk obeys within one poll, else the next one that starts",
    )
    return 0
