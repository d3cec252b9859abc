"""Everything that a desk has decided and learnt, forgotten; for the database of a demo, which starts anew."""

from __future__ import annotations

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction

JOURNAL_TABLES = (
    "signals",
    "decision_details",
    "equity",
    "shadow_returns",
    "bar_contributions",
    "agent_work_log",
    "trade_attribution",
    "trades",
    "fill_fees",
    "broker_outside",
    "resting_stops",
    "reconciliation_breaks",
    "cash_flows",
    "fills",
    "orders",
    "corporate_actions",
    "positions",
    "desk_state",
    "decisions",
    "risk_events",
    "paper_orders",
    "journal_chain",
    "chain_checks",
    "late_bars",
    "parity_checks",
)
META_TABLES = (
    "weight_history",
    "beliefs",
    "agent_days",
    "agent_books",
    "agent_value_added",
    "weight_trials",
    "agent_life",
    "agent_scorecards",
    "project_reports",
    "outbox",
    "improvement_suggestions",
    "alarms",
    "heartbeats",
    "job_runs",
    "system_metrics",
    "strategy_variants",
    "ml_models",
    "outages",
)
DATA_TABLES = (
    "bars",
    "market_actions",
    "funding_rates",
    "bar_corrections",
    "bar_reads",
    "bar_quarantine",
    "file_refusals",
    "exogenous",
    "exogenous_keys",
)
KEPT_TABLES = ("email_config", "broker_accounts", "project_tasks", "settings_tried", "symbol_renames")
"""What a person entered, and which settings were looked at: that cannot be unseen."""


def wipe_desk(owner: Engine) -> None:
    """Forget every decision of a desk and all that was learnt from them; the bars stay. The owner of the tables may."""
    with transaction(owner) as connection:
        connection.execute(text(f"TRUNCATE {', '.join((*JOURNAL_TABLES, *META_TABLES))} RESTART IDENTITY"))


def wipe_data(owner: Engine) -> None:
    """Forget bars, series, and what was read of which file, so that the feed's files are read again."""
    with transaction(owner) as connection:
        connection.execute(text(f"TRUNCATE {', '.join(DATA_TABLES)} RESTART IDENTITY"))
