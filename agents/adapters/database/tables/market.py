"""What came from files: bars and how they were read, corrected, refused; splits and dividends; series and texts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from agents.adapters.database.tables.columns import (
    MOMENT,
    check,
    finite,
    metadata,
    number,
    recorded_at,
    sane_time,
    words,
)

bars = Table(
    "bars",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True, comment="close of the bar"),
    Column("bar_open", MOMENT, nullable=False),
    Column("available_at", MOMENT, nullable=False),
    recorded_at(),
    number("open"),
    number("high"),
    number("low"),
    number("close"),
    number("volume", nullable=True),
    Column("adjustment", Double, nullable=False, server_default="1"),
    Column("split", Double, nullable=False, server_default="1"),
    Column("dividend", Double, nullable=False, server_default="0"),
    words("source"),
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
    sane_time(),
    check("times_ordered", "bar_open < time AND time <= available_at AND available_at < '2100-01-01Z'"),
    check("prices_positive", "low > 0 AND low <= LEAST(open, close) AND high >= GREATEST(open, close)"),
    check("prices_finite", "high < 'Infinity'"),
    check("volume_sane", "volume >= 0 AND volume < 'Infinity'"),
    check("adjustment_positive", "adjustment > 0 AND adjustment < 'Infinity'"),
    check("split_positive", "split > 0 AND split < 'Infinity'"),
    check("dividend_sane", "dividend >= 0 AND dividend < 'Infinity'"),
    Index("ix_bars_time", "time"),
    Index("ix_bars_read_id", "read_id"),
)

bar_reads = Table(
    "bar_reads",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="rises in the order of commits"),
    words("file"),
    Column("size", BigInteger, nullable=False, comment="bytes of the file when it was read"),
    Column("consumed", BigInteger, nullable=False, comment="bytes from its start that need no reading again"),
    Column("consumed_rows", BigInteger, nullable=False, comment="rows in those bytes"),
    Column("sha256", Text, nullable=False, comment="of those bytes"),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("rows_read", "rows_loaded", "rows_equal", "rows_quarantined", "rows_corrected")
    ),
    recorded_at(),
    check("consumed_sane", "consumed BETWEEN 0 AND size"),
    Index("ix_bar_reads_file", "file", "id"),
)

bar_corrections = Table(
    "bar_corrections",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("symbol"),
    Column("time", MOMENT, nullable=False, comment="close of the bar"),
    Column("kept", JSONB, nullable=False, comment="the numbers that were stored"),
    Column("given", JSONB, nullable=False, comment="those of the later file"),
    Column("taken", Boolean, nullable=False, comment="true where no decision had used the bar"),
    Column("read_id", BigInteger, ForeignKey("bar_reads.id"), nullable=False),
    Column("seen_at", MOMENT, comment="when a person said that they know; taken ones need nobody"),
    recorded_at(),
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
    words("source"),
    Column(
        "read_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the read of files after which it was known",
    ),
    recorded_at(),
    check("kind_known", "kind IN ('split', 'dividend', 'delisting', 'accepted', 'rejected', 'withdrawn')"),
    check("value_sane", "(value > 0 OR (value = 0 AND kind = 'delisting')) AND value < 'Infinity'"),
    check("factor_sane", "factor > 0 AND factor < 'Infinity'"),
    sane_time(),
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

funding_rates = Table(
    "funding_rates",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("time", MOMENT, primary_key=True, comment="when it was settled"),
    Column("rate", Double, nullable=False, comment="what a long position pays, a fraction of its worth"),
    Column("price", Double, nullable=False, comment="the mark price of that moment"),
    words("source"),
    Column("read_id", BigInteger, nullable=False, comment="the read of files after which it was known"),
    recorded_at(),
    sane_time(),
    check("rate_sane", "rate BETWEEN -1e6 AND 1e6"),
    check("price_positive", "price > 0 AND price < 'Infinity'"),
    Index("ix_funding_rates_read_id", "read_id"),
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
    words("file"),
    Column("row_number", BigInteger, nullable=False),
    words("reason"),
    words("content"),
    recorded_at(),
    UniqueConstraint("file", "row_number", "reason", "content", name="uq_bar_quarantine_row"),
)

file_refusals = Table(
    "file_refusals",
    metadata,
    Column("file", Text, primary_key=True),
    words("reason"),
    Column("refused_at", MOMENT, nullable=False, comment="when it was found to be so"),
    Column("mended_at", MOMENT, comment="when it was read, or gone; NULL: it is refused still"),
)

symbol_renames = Table(
    "symbol_renames",
    metadata,
    Column("name", Text, primary_key=True, comment="what files and exchanges call it now"),
    Column("symbol", Text, nullable=False, comment="the desk's name, which stays"),
    recorded_at(),
    check("another_name", "name <> symbol"),
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
    number("value"),
    recorded_at(),
    sane_time(),
    check("known_after", "available_at >= time AND available_at < '2100-01-01Z'"),
    check("value_finite", finite("value")),
    Index("ix_exogenous_available_at", "available_at"),
)

exogenous_keys = Table(
    "exogenous_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    comment="what series there are, so that reading need not look through all values",
)
