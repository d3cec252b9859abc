"""What the desk thought and decided, bar by bar, what its books are worth, and the chain that covers it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Identity, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from agents.adapters.database.tables.columns import (
    MOMENT,
    check,
    finite,
    metadata,
    moment,
    number,
    recorded_at,
    sane_time,
    words,
)
from agents.core.regimes import REGIMES

signals = Table(
    "signals",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    number("strength"),
    number("confidence"),
    Column("abstained", Boolean, nullable=False),
    number("forecast", nullable=True),
    words("reason"),
    sane_time(),
    check("strength_range", "strength BETWEEN -1 AND 1"),
    check("confidence_range", "confidence BETWEEN 0 AND 1"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("weights_version", BigInteger, nullable=False),
    words("weights_level"),
    Column("weights", JSONB, nullable=False),
    words("risk_state"),
    number("equity"),
    number("cash"),
    Column("orders", Integer, nullable=False),
    words("reason"),
    recorded_at(),
    Column(
        "data_version",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the newest read of files when its bars were read; 0: from the columns of bars alone",
    ),
    Column("regime", Text, comment="the market's; NULL where too little was known, and in rows of older versions"),
    sane_time(),
    check("level_known", "weights_level IN ('redis', 'database', 'static', 'equal')"),
    check("risk_state_known", "risk_state IN ('active', 'reducing', 'halted')"),
    check("regime_known", f"regime IN ({', '.join(map(repr, REGIMES))})"),
)

decision_details = Table(
    "decision_details",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("symbol", Text, primary_key=True),
    number("combined", nullable=True),
    number("multiplier", nullable=True),
    number("raw_weight", nullable=True),
    number("target_weight"),
    words("clamps"),
    words("no_trade"),
    number("order_quantity"),
    number("position"),
    number("mark", nullable=True),
    sane_time(),
)

desk_state = Table(
    "desk_state",
    metadata,
    Column("id", Integer, primary_key=True, server_default="1"),
    moment(),
    Column("state", LargeBinary, nullable=False),
    Column(
        "warm_up",
        LargeBinary,
        nullable=True,
        comment="what the agents thought of the bars before the first decision: part of their usual conviction",
    ),
    check("one_row", "id = 1"),
)

equity = Table(
    "equity",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("book", Text, primary_key=True),
    number("equity"),
    number("cash"),
    number("turnover"),
    sane_time(),
    check("equity_finite", finite("equity", "cash", "turnover")),
)

shadow_returns = Table(
    "shadow_returns",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("return", Double, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    sane_time(),
    check("hits_within_calls", "hits BETWEEN 0 AND calls"),
    check("return_finite", finite('"return"')),
)

bar_contributions = Table(
    "bar_contributions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    number("contribution"),
    Column("cost", Double, comment="of its fills, already taken off; NULL in rows of older versions"),
    sane_time(),
    check("contribution_finite", finite("contribution")),
    check("cost_finite", finite("cost")),
)

agent_work_log = Table(
    "agent_work_log",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("agent_name", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    number("duration_ms"),
    Column("opinions", BigInteger, nullable=False),
    Column("ok", Boolean, nullable=False),
    words("detail"),
    sane_time(),
)

journal_chain = Table(
    "journal_chain",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    words("kind"),
    Column("time", MOMENT, nullable=False, comment="of the decision, or of the broker's answer"),
    Column("form", SmallInteger, nullable=False, comment="which columns are covered, and how"),
    Column("covers", JSONB, nullable=False, comment="rows by table, and keys where no time tells"),
    Column("tags", LargeBinary, nullable=False, comment="four bytes for each row, to name a changed one"),
    Column("state", LargeBinary, comment="digests of the desk's state and positions after it"),
    Column("content", LargeBinary, nullable=False, comment="SHA-256 of the rows"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the link before and of this one"),
    recorded_at(),
    check("kind_known", "kind IN ('decision', 'outcomes')"),
)

chain_checks = Table(
    "chain_checks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment("checked_at"),
    Column("from_seq", BigInteger, nullable=False, comment="links after this one were checked"),
    Column("to_seq", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="of the last link that was checked"),
    Column("differences", Integer, nullable=False),
    Column("examples", JSONB, nullable=False),
    Column("accepted", Text, comment="why a person goes on with these differences"),
    check("ordered", "from_seq <= to_seq"),
)

risk_events = Table(
    "risk_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment(),
    words("from_state"),
    words("to_state"),
    words("reason"),
    words("actor"),
    Column("applied_at", MOMENT, comment="when the desk obeyed; NULL for an order of a person not yet seen"),
    Column(
        "obeyed_after",
        MOMENT,
        comment="the newest decision when a person's order was obeyed: the next one is the first under it",
    ),
    sane_time(),
)

outages = Table(
    "outages",
    metadata,
    Column("plane", Text, primary_key=True, comment="trading or meta"),
    Column("began_at", MOMENT, primary_key=True),
    Column("ended_at", MOMENT, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    words("reason"),
    sane_time("began_at"),
)
