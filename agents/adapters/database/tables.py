"""The schema as SQLAlchemy knows it, both planes; migrations create it, `alembic check` holds the two together.

Hypertables hold series, plain tables what must be unique (a unique key of a hypertable must contain its time).
No foreign key points at a hypertable: TimescaleDB before 2.25 has defects there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

MONEY = Numeric(28, 8)
MOMENT = DateTime(timezone=True)

HYPERTABLES = {
    "bars": "time",
    "exogenous": "time",
    "signals": "time",
    "decision_details": "time",
    "equity": "time",
    "shadow_returns": "time",
    "bar_contributions": "time",
    "agent_work_log": "time",
    "system_metrics": "time",
}
"""Hypertable -> its time column."""


def _time(name: str = "time") -> Column[Any]:
    return Column(name, MOMENT, nullable=False)


def _recorded_at() -> Column[Any]:
    return Column("recorded_at", MOMENT, nullable=False, server_default=func.now())


def _text(name: str, *items: SchemaItem, nullable: bool = False) -> Column[str]:
    return Column(name, Text, *items, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _money(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, MONEY, nullable=nullable)


def _price(name: str) -> Column[Any]:
    """With as many decimals as it needs."""
    return Column(name, Numeric, nullable=False)


def _sane_time(column: str = "time") -> CheckConstraint:
    return CheckConstraint(f"{column} > '1900-01-01Z' AND {column} < '2100-01-01Z'", name=f"{column}_sane")


def _check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def _finite(*columns: str) -> str:
    return " AND ".join(f"{c} > '-Infinity' AND {c} < 'Infinity'" for c in columns)


# ---------------------------------------------------------------- market

bars = Table(
    "bars",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True, comment="close of the bar"),
    Column("bar_open", MOMENT, nullable=False),
    Column("available_at", MOMENT, nullable=False),
    _recorded_at(),
    _number("open"),
    _number("high"),
    _number("low"),
    _number("close"),
    _number("volume", nullable=True),
    Column("adjustment", Double, nullable=False, server_default="1"),
    Column("split", Double, nullable=False, server_default="1"),
    Column("dividend", Double, nullable=False, server_default="0"),
    _text("source"),
    Column(
        "read_id",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the read that brought these numbers; 0: before reads were recorded",
    ),
    Column(
        "suspect",
        Boolean,
        nullable=False,
        server_default="false",
        comment="its price fits neither the last accepted one nor an action: agents never see it",
    ),
    _sane_time(),
    _check("times_ordered", "bar_open < time AND time <= available_at AND available_at < '2100-01-01Z'"),
    _check("prices_positive", "low > 0 AND low <= LEAST(open, close) AND high >= GREATEST(open, close)"),
    _check("prices_finite", "high < 'Infinity'"),
    _check("volume_sane", "volume >= 0 AND volume < 'Infinity'"),
    _check("adjustment_positive", "adjustment > 0 AND adjustment < 'Infinity'"),
    _check("split_positive", "split > 0 AND split < 'Infinity'"),
    _check("dividend_sane", "dividend >= 0 AND dividend < 'Infinity'"),
    Index("ix_bars_time", "time"),
    Index("ix_bars_read_id", "read_id"),
)

bar_reads = Table(
    "bar_reads",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="rises in the order of commits"),
    _text("file"),
    Column("size", BigInteger, nullable=False, comment="bytes of the file when it was read"),
    Column("consumed", BigInteger, nullable=False, comment="bytes from its start that need no reading again"),
    Column("consumed_rows", BigInteger, nullable=False, comment="rows in those bytes"),
    Column("sha256", Text, nullable=False, comment="of those bytes"),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("rows_read", "rows_loaded", "rows_equal", "rows_quarantined", "rows_corrected")
    ),
    _recorded_at(),
    _check("consumed_sane", "consumed BETWEEN 0 AND size"),
    Index("ix_bar_reads_file", "file", "id"),
)

bar_corrections = Table(
    "bar_corrections",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("symbol"),
    Column("time", MOMENT, nullable=False, comment="close of the bar"),
    Column("kept", JSONB, nullable=False, comment="the numbers that were stored"),
    Column("given", JSONB, nullable=False, comment="those of the later file"),
    Column("taken", Boolean, nullable=False, comment="true where no decision had used the bar"),
    Column("read_id", BigInteger, ForeignKey("bar_reads.id"), nullable=False),
    Column("seen_at", MOMENT, comment="when a person said that they know; taken ones need nobody"),
    _recorded_at(),
    UniqueConstraint("symbol", "time", "kept", "given", name="uq_bar_corrections_once"),
)

market_actions = Table(
    "market_actions",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True, comment="close of the first bar that trades with it"),
    Column("kind", Text, primary_key=True),
    Column(
        "value",
        Double,
        nullable=False,
        comment="split: new shares for an old one; dividend: cash per old share; else a price",
    ),
    Column(
        "factor",
        Double,
        nullable=False,
        comment="what prices from then on are multiplied by to be like those before",
    ),
    _text("source"),
    Column(
        "read_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the read of files after which it was known",
    ),
    _recorded_at(),
    _check("kind_known", "kind IN ('split', 'dividend', 'delisting', 'accepted', 'rejected', 'withdrawn')"),
    _check("value_sane", "(value > 0 OR (value = 0 AND kind = 'delisting')) AND value < 'Infinity'"),
    _check("factor_sane", "factor > 0 AND factor < 'Infinity'"),
    _sane_time(),
    Index("ix_market_actions_read_id", "read_id"),
    Index(
        "uq_market_actions_once",
        "symbol",
        "time",
        "kind",
        unique=True,
        postgresql_where=text("kind IN ('split', 'dividend', 'delisting')"),
    ),
)

late_bars = Table(
    "late_bars",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True, comment="close of the bar"),
    Column("decided_at", MOMENT, nullable=False, comment="of the decision that should have seen it"),
    Column("arrived_at", MOMENT, nullable=False),
    Column("decided", Boolean, nullable=False, comment="false where no decision was made at the bar's own time"),
    Index("ix_late_bars_arrived_at", "arrived_at"),
)

bar_quarantine = Table(
    "bar_quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("file"),
    Column("row_number", BigInteger, nullable=False),
    _text("reason"),
    _text("content"),
    _recorded_at(),
    UniqueConstraint("file", "row_number", "reason", "content", name="uq_bar_quarantine_row"),
)

file_refusals = Table(
    "file_refusals",
    metadata,
    Column("file", Text, primary_key=True),
    _text("reason"),
    Column("refused_at", MOMENT, nullable=False, comment="when it was found to be so"),
    Column("mended_at", MOMENT, comment="when it was read, or gone; NULL: it is refused still"),
)

symbol_renames = Table(
    "symbol_renames",
    metadata,
    Column("name", Text, primary_key=True, comment="what files and exchanges call it now"),
    Column("symbol", Text, nullable=False, comment="the desk's name, which stays"),
    _recorded_at(),
    _check("another_name", "name <> symbol"),
)

exogenous = Table(
    "exogenous",
    metadata,
    Column("name", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True),
    Column(
        "item",
        Text,
        primary_key=True,
        server_default="",
        comment="which of several texts of that time; empty for a series, and for texts of before they were told apart",
    ),
    Column("available_at", MOMENT, nullable=False),
    _number("value"),
    _recorded_at(),
    _sane_time(),
    _check("known_after", "available_at >= time AND available_at < '2100-01-01Z'"),
    _check("value_finite", _finite("value")),
    Index("ix_exogenous_available_at", "available_at"),
)

exogenous_keys = Table(
    "exogenous_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    comment="what series there are, so that reading need not look through all values",
)

# ---------------------------------------------------------------- journal

signals = Table(
    "signals",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    _number("strength"),
    _number("confidence"),
    Column("abstained", Boolean, nullable=False),
    _number("forecast", nullable=True),
    _text("reason"),
    _sane_time(),
    _check("strength_range", "strength BETWEEN -1 AND 1"),
    _check("confidence_range", "confidence BETWEEN 0 AND 1"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("weights_version", BigInteger, nullable=False),
    _text("weights_level"),
    Column("weights", JSONB, nullable=False),
    _text("risk_state"),
    _number("equity"),
    _number("cash"),
    Column("orders", Integer, nullable=False),
    _text("reason"),
    _recorded_at(),
    Column(
        "data_version",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the newest read of files when its bars were read; 0: from the columns of bars alone",
    ),
    _sane_time(),
    _check("level_known", "weights_level IN ('redis', 'database', 'static', 'equal')"),
    _check("risk_state_known", "risk_state IN ('active', 'reducing', 'halted')"),
)

decision_details = Table(
    "decision_details",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("symbol", Text, primary_key=True),
    _number("combined", nullable=True),
    _number("multiplier", nullable=True),
    _number("raw_weight", nullable=True),
    _number("target_weight"),
    _text("clamps"),
    _text("no_trade"),
    _number("order_quantity"),
    _number("position"),
    _number("mark", nullable=True),
    _sane_time(),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("decision_time", MOMENT, nullable=False),
    _text("symbol"),
    _text("side"),
    _money("quantity"),
    _text("state"),
    _text("reason"),
    _recorded_at(),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("decision_time", "symbol", name="uq_orders_decision"),
    _check("side_known", "side IN ('buy', 'sell')"),
    _check("quantity_positive", "quantity > 0"),
    _check(
        "state_known",
        "state IN ('intent', 'acked', 'partial', 'filled', 'expired', 'rejected', 'unknown', 'not_placed')",
    ),
    Index("ix_orders_state", "state"),
)

fills = Table(
    "fills",
    metadata,
    Column("fill_id", Text, primary_key=True),
    _text("client_order_id", ForeignKey("orders.client_order_id")),
    _time(),
    _text("symbol"),
    _text("side"),
    _money("quantity"),
    _price("price"),
    _money("fee"),
    _money("spread_cost"),
    _money("impact_cost"),
    _recorded_at(),
    _sane_time(),
    _check("side_known", "side IN ('buy', 'sell')"),
    _check("quantity_positive", "quantity > 0 AND quantity <> 'NaN'"),
    _check("price_positive", "price > 0 AND price <> 'NaN'"),
    Index("ix_fills_time", "time"),
    Index("ix_fills_client_order_id", "client_order_id"),
)

corporate_actions = Table(
    "corporate_actions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _money("ratio"),
    _money("quantity_change"),
    _money("cash"),
    _sane_time(),
    _check("kind_known", "kind IN ('split', 'dividend', 'delisting')"),
)

trades = Table(
    "trades",
    metadata,
    Column("trade_id", Text, primary_key=True),
    _text("symbol"),
    _time("opened_at"),
    _time("closed_at"),
    _text("side"),
    _money("quantity"),
    _price("entry_price"),
    _price("exit_price"),
    _money("fees"),
    _money("pnl"),
    _sane_time("closed_at"),
    _check("side_known", "side IN ('long', 'short')"),
    _check("pnl_finite", "pnl <> 'NaN'"),
    Index("ix_trades_closed_at", "closed_at"),
)

trade_attribution = Table(
    "trade_attribution",
    metadata,
    Column("trade_id", Text, ForeignKey("trades.trade_id"), primary_key=True),
    Column("agent_name", Text, primary_key=True),
    _money("contribution"),
    _check("contribution_finite", "contribution <> 'NaN'"),
)

positions = Table(
    "positions",
    metadata,
    Column("symbol", Text, primary_key=True),
    _money("quantity"),
    _money("cost"),
    _money("carried"),
    _time("opened_at"),
    _check("quantity_not_zero", "quantity <> 0 AND quantity <> 'NaN'"),
)

desk_state = Table(
    "desk_state",
    metadata,
    Column("id", Integer, primary_key=True, server_default="1"),
    _time(),
    Column("state", LargeBinary, nullable=False),
    Column(
        "warm_up",
        LargeBinary,
        nullable=True,
        comment="what the agents thought of the bars before the first decision: part of their usual conviction",
    ),
    _check("one_row", "id = 1"),
)

equity = Table(
    "equity",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("book", Text, primary_key=True),
    _number("equity"),
    _number("cash"),
    _number("turnover"),
    _sane_time(),
    _check("equity_finite", _finite("equity", "cash", "turnover")),
)

shadow_returns = Table(
    "shadow_returns",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("return", Double, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    _sane_time(),
    _check("hits_within_calls", "hits BETWEEN 0 AND calls"),
    _check("return_finite", _finite('"return"')),
)

bar_contributions = Table(
    "bar_contributions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    _number("contribution"),
    _sane_time(),
    _check("contribution_finite", _finite("contribution")),
)

agent_work_log = Table(
    "agent_work_log",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    _number("duration_ms"),
    Column("opinions", BigInteger, nullable=False),
    Column("ok", Boolean, nullable=False),
    _text("detail"),
    _sane_time(),
)

paper_orders = Table(
    "paper_orders",
    metadata,
    Column("client_order_id", Text, primary_key=True, comment="what the paper venue accepted"),
    _text("symbol"),
    _text("side"),
    _money("quantity"),
    _recorded_at(),
)

journal_chain = Table(
    "journal_chain",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("kind"),
    Column("time", MOMENT, nullable=False, comment="of the decision, or of the broker's answer"),
    Column("form", SmallInteger, nullable=False, comment="which columns are covered, and how"),
    Column("covers", JSONB, nullable=False, comment="rows by table, and keys where no time tells"),
    Column("tags", LargeBinary, nullable=False, comment="four bytes for each row, to name a changed one"),
    Column("state", LargeBinary, comment="digests of the desk's state and positions after it"),
    Column("content", LargeBinary, nullable=False, comment="SHA-256 of the rows"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the link before and of this one"),
    _recorded_at(),
    _check("kind_known", "kind IN ('decision', 'outcomes')"),
)

chain_checks = Table(
    "chain_checks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("checked_at"),
    Column("from_seq", BigInteger, nullable=False, comment="links after this one were checked"),
    Column("to_seq", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="of the last link that was checked"),
    Column("differences", Integer, nullable=False),
    Column("examples", JSONB, nullable=False),
    Column("accepted", Text, comment="why a person goes on with these differences"),
    _check("ordered", "from_seq <= to_seq"),
)

risk_events = Table(
    "risk_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time(),
    _text("from_state"),
    _text("to_state"),
    _text("reason"),
    _text("actor"),
    Column("applied_at", MOMENT, comment="when the desk obeyed; NULL for an order of a person not yet seen"),
    Column(
        "obeyed_after",
        MOMENT,
        comment="the newest decision when a person's order was obeyed: the next one is the first under it",
    ),
    _sane_time(),
)

outages = Table(
    "outages",
    metadata,
    Column("plane", Text, primary_key=True, comment="trading or meta"),
    Column("began_at", MOMENT, primary_key=True),
    Column("ended_at", MOMENT, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    _text("reason"),
    _sane_time("began_at"),
)

# ---------------------------------------------------------------- meta plane

weight_history = Table(
    "weight_history",
    metadata,
    Column("version", BigInteger, Identity(), primary_key=True),
    _time("timestamp"),
    Column("agent_weights", JSONB, nullable=False),
    Column("previous_weights", JSONB),
    _text("method"),
    _text("status"),
    _text("reason"),
    Column("window_days", Integer),
    Column("sample_size", Integer),
    Column("trials", Integer),
    _text("inputs_hash", nullable=True),
    _number("sharpe_improvement", nullable=True),
    _number("return_improvement", nullable=True),
    _number("realised_improvement", nullable=True),
    Column("causes", JSONB),
    Column("valid_until", MOMENT),
    Column("decided_for", MOMENT, comment="the optimizer run that this row belongs to; one row for each"),
    Column("evidence", JSONB),
    Column("realised_at", MOMENT, comment="when realised_improvement was measured"),
    _recorded_at(),
    _sane_time("timestamp"),
    _check("status_known", "status IN ('apply', 'hold', 'fallback', 'revert', 'initial')"),
    UniqueConstraint("decided_for"),
    Index("ix_weight_history_timestamp", "timestamp"),
)

weight_trials = Table(
    "weight_trials",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("timestamp"),
    Column("agent_weights", JSONB, nullable=False, comment="what the method would choose"),
    Column("previous_weights", JSONB),
    _text("method"),
    _text("reason"),
    *(Column(name, Integer) for name in ("window_days", "sample_size", "trials")),
    _text("inputs_hash", nullable=True),
    *(_number(name, nullable=True) for name in ("sharpe_improvement", "return_improvement")),
    *(Column(name, JSONB) for name in ("causes", "evidence")),
    _recorded_at(),
    _sane_time("timestamp"),
)

_LIFE_STATES = "'candidate', 'shadow', 'probation', 'full', 'decaying', 'retired'"

agent_life = Table(
    "agent_life",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("timestamp"),
    *(_text(name) for name in ("agent_name", "from_state", "to_state", "reason")),
    Column("actor", Text, nullable=False, comment="settings, tuner, or a person"),
    Column("evidence", JSONB, nullable=False),
    _recorded_at(),
    _sane_time("timestamp"),
    _check(
        "state_known",
        f"from_state IN ({_LIFE_STATES}) AND to_state IN ({_LIFE_STATES}) AND from_state <> to_state",
    ),
    UniqueConstraint("agent_name", "timestamp"),
)

agent_days = Table(
    "agent_days",
    metadata,
    Column("date", Date, primary_key=True, comment="UTC day; what the analyzer has aggregated so far"),
    Column("agent_name", Text, primary_key=True),
    Column("return", Double, comment="shadow book, over its constant capital; NULL: no book on that day"),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in ("signals", "hits", "calls", "trades", "ic_count", "brier_count")
    ),
    *(
        Column(name, Double, nullable=False, server_default="0")
        for name in ("pnl", "turnover", "ic_x", "ic_y", "ic_xx", "ic_yy", "ic_xy", "brier_sum")
    ),
)

agent_scorecards = Table(
    "agent_scorecards",
    metadata,
    Column("date", Date, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("window_days", Integer, primary_key=True, comment="0 = all history"),
    Column("total_signals", BigInteger, nullable=False),
    Column("total_trades", BigInteger, nullable=False),
    *(
        _number(name, nullable=True)
        for name in (
            "win_rate",
            "profit_factor",
            "expectancy",
            "payoff_ratio",
            "average_win",
            "average_loss",
            "sharpe_ratio",
            "sortino_ratio",
            "calmar_ratio",
            "max_drawdown",
            "turnover",
            "information_coefficient",
            "brier_score",
            "probabilistic_sharpe",
            "deflated_sharpe",
            "minimum_track_record",
            "sharpe_low",
            "sharpe_high",
            "periods_per_year",
        )
    ),
    *(Column(name, Integer) for name in ("longest_wins", "longest_losses", "max_drawdown_bars", "number_of_trials")),
    _money("pnl", nullable=True),
    Column("undefined", JSONB, comment="figure -> why it is NULL"),
    _text("verdict", nullable=True),
    _recorded_at(),
    *(_number(name, nullable=True) for name in ("trade_win_rate", "trade_profit_factor")),
    *(Column(name, Integer) for name in ("longest_winning_trades", "longest_losing_trades")),
    *(
        Column(name, Double, comment="end of the interval that holds at every look; all history only")
        for name in ("sharpe_always_low", "sharpe_always_high")
    ),
    Column(
        "measured",
        Text,
        nullable=False,
        server_default="",
        comment="what the books could do that were measured: long-only books, or long and short",
    ),
    _check("win_rate_range", "win_rate BETWEEN 0 AND 1"),
    Index("ix_agent_scorecards_agent_name", "agent_name", "date"),
)

agent_books = Table(
    "agent_books",
    metadata,
    Column("date", Date, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("desk_equity", Double, nullable=False, comment="of the desk as the cost model fills it, at day's end"),
    Column("book_equity", Double, nullable=False, comment="of the same desk without this agent"),
    Column(
        "with_agent",
        Boolean,
        nullable=False,
        comment="its weight was 0: the book is the desk with it at the floor",
    ),
)

agent_value_added = Table(
    "agent_value_added",
    metadata,
    Column("date", Date, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("window_days", Integer, primary_key=True, comment="0 = all history"),
    Column("compared", Text, nullable=False, comment="what the newest day was compared with, in words"),
    Column("days", Integer, nullable=False),
    Column("days_differing", Integer, nullable=False, comment="on which the agent changed anything"),
    *(
        _number(name, nullable=True)
        for name in (
            "return_a_year",
            "return_low",
            "return_high",
            "sharpe_difference",
            "sharpe_low",
            "sharpe_high",
        )
    ),
    _text("verdict"),
)

project_tasks = Table(
    "project_tasks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("title"),
    _text("description"),
    _text("state"),
    _text("priority"),
    _text("assigned_to", nullable=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    _check("state_known", "state IN ('open', 'in_progress', 'blocked', 'done', 'dismissed')"),
    _check("priority_known", "priority IN ('low', 'medium', 'high', 'critical')"),
)

project_reports = Table(
    "project_reports",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("generated_at"),
    Column("period_start", MOMENT, nullable=False),
    Column("period_end", MOMENT, nullable=False),
    Column("summary", JSONB, nullable=False),
    Column("recommendations", JSONB, nullable=False),
    _text("html"),
    _text("text"),
    Column("subject", Text, nullable=False, server_default=""),
    UniqueConstraint("period_start", "period_end", name="uq_project_reports_period"),
    Index("ix_project_reports_generated_at", "generated_at"),
)

improvement_suggestions = Table(
    "improvement_suggestions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("fingerprint"),
    _text("kind"),
    _text("severity"),
    _text("title"),
    _text("action"),
    Column("evidence", JSONB, nullable=False),
    _text("state"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("fingerprint"),
    _check("kind_known", "kind IN ('architecture', 'security', 'performance', 'strategy')"),
    _check("severity_known", "severity IN ('info', 'low', 'medium', 'high', 'critical')"),
    _check("state_known", "state IN ('open', 'accepted', 'done', 'dismissed')"),
)

strategy_variants = Table(
    "strategy_variants",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("agent_name"),
    _text("variant_name"),
    Column("parameters", JSONB, nullable=False),
    _text("state"),
    Column("evidence", JSONB),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("agent_name", "variant_name", name="uq_strategy_variants_name"),
    _check("state_known", "state IN ('candidate', 'challenger', 'champion', 'demoted', 'dismissed')"),
)

ml_models = Table(
    "ml_models",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("name"),
    Column("version", Integer, nullable=False),
    _text("sha256"),
    _text("format"),
    Column("parameters", JSONB, nullable=False),
    Column("metrics", JSONB),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("name", "version", name="uq_ml_models_version"),
)

email_config = Table(
    "email_config",
    metadata,
    Column("id", Integer, primary_key=True, server_default="1"),
    _text("server"),
    Column("port", Integer, nullable=False),
    _text("security"),
    _text("account"),
    _text("sender"),
    _text("secret_file", nullable=True),
    Column("recipients", JSONB, nullable=False),
    _text("mode"),
    Column("frequency_s", Integer, nullable=False),
    Column("quiet_hours", JSONB),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    _check("one_row", "id = 1"),
    _check("port_range", "port BETWEEN 1 AND 65535"),
    _check("security_known", "security IN ('starttls', 'tls')"),
    _check("mode_known", "mode IN ('every_report', 'only_if_changed', 'daily_digest')"),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("job"),
    _time("due_at"),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    _text("status"),
    _text("detail"),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("missed", Integer, nullable=False, server_default="0", comment="due times before this one that nobody ran"),
    UniqueConstraint("job", "due_at", name="uq_job_runs_due"),
    _check("status_known", "status IN ('running', 'succeeded', 'failed', 'skipped')"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("report_id", BigInteger, ForeignKey("project_reports.id"), nullable=False),
    _text("message_id"),
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", MOMENT),
    _text("detail"),
    Column("message", LargeBinary, comment="the very bytes to be mailed; NULL once they are"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column("period_start", MOMENT, comment="the mail covers what happened after this"),
    Column("period_end", MOMENT, comment="and up to this"),
    Column(
        "waiting_since",
        MOMENT,
        comment="since when there has been news that did not leave, over the mails that this one took in",
    ),
    Column("sending_since", MOMENT, comment="a process is sending it now"),
    Column("left_at", MOMENT, comment="when the first recipient got it"),
    Column(
        "recipients",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="address -> '' (waits), 'sent', or why its server refuses it",
    ),
    Column("said", Text, nullable=False, server_default=""),
    UniqueConstraint("report_id"),
    _check("state_known", "state IN ('pending', 'sent', 'failed', 'skipped')"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("daemon", Text, primary_key=True),
    _time("at"),
    _time("started_at"),
    Column("pid", Integer, nullable=False),
    _text("state"),
    Column("detail", Text, nullable=False, comment="what it cannot do now; '' where all is well"),
    _check("daemon_known", "daemon IN ('trading', 'meta')"),
    _check("state_known", "state IN ('running', 'stopped')"),
)

system_metrics = Table(
    "system_metrics",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("name", Text, primary_key=True),
    _number("value"),
    _sane_time(),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _text("kind"),
    _text("subject"),
    _text("severity"),
    _text("detail"),
    _time("opened_at"),
    Column("closed_at", MOMENT),
    _sane_time("opened_at"),
    _check("severity_known", "severity IN ('info', 'low', 'medium', 'high', 'critical')"),
    Index("uq_alarms_open", "kind", "subject", unique=True, postgresql_where=text("closed_at IS NULL")),
)

# ---------------------------------------------------------------- replays

beliefs = Table(
    "beliefs",
    metadata,
    Column("kind", Text, primary_key=True, comment="past: of the replayed time before the first decision; now"),
    Column("agents", ARRAY(Text), nullable=False),
    Column("days", Integer, nullable=False, comment="how many days it was computed from"),
    Column("digest", Text, nullable=False, comment="SHA-256 of all that it was computed from"),
    Column("state", LargeBinary, nullable=False, comment="the filter's arrays, numpy's npz"),
    _recorded_at(),
    _check("kind_known", "kind IN ('past', 'now')"),
    comment="what the tuner believes of the agents: computed from agent_days, kept so that a day takes no time",
)

parity_checks = Table(
    "parity_checks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _time("checked_at"),
    _time("checked_from"),
    Column("checked_to", MOMENT, nullable=False, comment="decisions up to here are checked"),
    Column("decisions", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("counts", JSONB, nullable=False, comment="signal, weight, risk, order, fill, equity -> how many differ"),
    Column("examples", JSONB, nullable=False),
    Column("slippage", JSONB, nullable=False, comment="delay, spread, impact, fees -> [recorded, modelled]"),
    Column(
        "state", LargeBinary, nullable=False, comment="the recomputed step's state, from which the next check goes on"
    ),
    _check("ordered", "checked_from <= checked_to"),
    UniqueConstraint("checked_to"),
)

settings_tried = Table(
    "settings_tried",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("data_hash", Text, nullable=False, comment="of the bars that were replayed"),
    Column("symbols", ARRAY(Text), nullable=False),
    _time("first_bar"),
    _time("last_bar"),
    _text("settings_hash"),
    Column("settings", JSONB, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("returns", LargeBinary, comment="daily returns of the live book, float64, deflated"),
    Column("tried_at", MOMENT, nullable=False, server_default=func.now()),
    _check("ordered", "first_bar <= last_bar"),
    UniqueConstraint("data_hash", "settings_hash", name="uq_settings_tried_once"),
)
