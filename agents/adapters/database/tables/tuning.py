"""Weights and why, agents and where they stand, what they did day by day and what is believed of them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from agents.adapters.database.tables.columns import (
    MOMENT,
    check,
    metadata,
    moment,
    money,
    number,
    recorded_at,
    sane_time,
    words,
)

weight_history = Table(
    "weight_history",
    metadata,
    Column("version", BigInteger, Identity(), primary_key=True),
    moment("timestamp"),
    Column("agent_weights", JSONB, nullable=False),
    Column("previous_weights", JSONB),
    words("method"),
    words("status"),
    words("reason"),
    Column("window_days", Integer),
    Column("sample_size", Integer),
    Column("trials", Integer),
    words("inputs_hash", nullable=True),
    number("sharpe_improvement", nullable=True),
    number("return_improvement", nullable=True),
    number("realised_improvement", nullable=True),
    Column("causes", JSONB),
    Column("valid_until", MOMENT),
    Column("decided_for", MOMENT, comment="the optimizer run that this row belongs to; one row for each"),
    Column("evidence", JSONB),
    Column("realised_at", MOMENT, comment="when realised_improvement was measured"),
    recorded_at(),
    sane_time("timestamp"),
    check("status_known", "status IN ('apply', 'hold', 'fallback', 'revert', 'initial')"),
    UniqueConstraint("decided_for"),
    Index("ix_weight_history_timestamp", "timestamp"),
)

weight_trials = Table(
    "weight_trials",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment("timestamp"),
    Column("agent_weights", JSONB, nullable=False, comment="what the method would choose"),
    Column("previous_weights", JSONB),
    words("method"),
    words("reason"),
    *(Column(name, Integer) for name in ("window_days", "sample_size", "trials")),
    words("inputs_hash", nullable=True),
    *(number(name, nullable=True) for name in ("sharpe_improvement", "return_improvement")),
    *(Column(name, JSONB) for name in ("causes", "evidence")),
    recorded_at(),
    sane_time("timestamp"),
)

_LIFE_STATES = "'candidate', 'shadow', 'probation', 'full', 'decaying', 'retired'"

agent_life = Table(
    "agent_life",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment("timestamp"),
    *(words(name) for name in ("agent_name", "from_state", "to_state", "reason")),
    Column("actor", Text, nullable=False, comment="settings, tuner, or a person"),
    Column("evidence", JSONB, nullable=False),
    recorded_at(),
    sane_time("timestamp"),
    check(
        "state_known",
        f"from_state IN ({_LIFE_STATES}) AND to_state IN ({_LIFE_STATES}) AND from_state <> to_state",
    ),
    UniqueConstraint("agent_name", "timestamp"),
)

beliefs = Table(
    "beliefs",
    metadata,
    Column("kind", Text, primary_key=True, comment="past: of the replayed time before the first decision; now"),
    Column("agents", ARRAY(Text), nullable=False),
    Column("days", Integer, nullable=False, comment="how many days it was computed from"),
    Column("digest", Text, nullable=False, comment="SHA-256 of all that it was computed from"),
    Column("state", LargeBinary, nullable=False, comment="the filter's arrays, numpy's npz"),
    recorded_at(),
    check("kind_known", "kind IN ('past', 'now')"),
    comment="what the tuner believes of the agents: computed from agent_days, kept so that a day takes no time",
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
    Column(
        "rules",
        SmallInteger,
        nullable=False,
        server_default="2",
        comment="by which rules its books traded: 1, an older version's; 2, the desk's directions, costs and closures",
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
        number(name, nullable=True)
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
    money("pnl", nullable=True),
    Column("undefined", JSONB, comment="figure -> why it is NULL"),
    words("verdict", nullable=True),
    recorded_at(),
    *(number(name, nullable=True) for name in ("trade_win_rate", "trade_profit_factor")),
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
    check("win_rate_range", "win_rate BETWEEN 0 AND 1"),
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
        number(name, nullable=True)
        for name in (
            "return_a_year",
            "return_low",
            "return_high",
            "sharpe_difference",
            "sharpe_low",
            "sharpe_high",
        )
    ),
    words("verdict"),
)
