"""Bars that were stored before splits and dividends had a table of their own: what the migration makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from alembic import command
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from tests.integration.test_schema import migrator, run_alembic  # noqa: F401 - the fixture

START = datetime(2005, 2, 24, 21, tzinfo=UTC)
BARS = (
    # close, adjusting factor, split, dividend
    (88.0, 0.49, 1.0, 0.0),
    (44.5, 0.98, 2.0, 0.0),
    (45.0, 0.98, 1.0, 0.0),
    (44.1, 1.0, 1.0, 0.9),
    (44.0, 1.0, 1.0, 0.0),
    (43.9, 1.01, 1.0, 0.0),
)


def test_what_old_bars_say_becomes_facts_and_their_columns_stay(migrator):  # noqa: F811 - the fixture
    """A 2:1, a dividend with its column, and one that only the adjusting factor shows; the new adjustment agrees with
    the old one, and data version 0 is read as it was."""
    run_alembic(migrator, command.downgrade, "0005")
    with migrator.begin() as connection:
        for k, (close, adjustment, split, dividend) in enumerate(BARS):
            time = START + timedelta(days=k)
            connection.execute(
                text(
                    "INSERT INTO bars (symbol, time, bar_open, available_at, open, high, low, close, volume, adjustment,"
                    " split, dividend, source) VALUES ('A', :time, :opened, :time, :c, :c, :c, :c, 1, :a, :s, :d, 'f')"
                ),
                {
                    "time": time,
                    "opened": time - timedelta(hours=6),
                    "c": close,
                    "a": adjustment,
                    "s": split,
                    "d": dividend,
                },
            )
        connection.execute(
            text(
                "INSERT INTO bar_files (sha256, file, rows_read, rows_loaded, rows_equal, rows_quarantined)"
                " VALUES ('x', 'f', 6, 6, 0, 0)"
            )
        )
    run_alembic(migrator, command.upgrade, "head")
    with migrator.connect() as connection:
        found = connection.execute(text("SELECT kind, value, read_id FROM market_actions ORDER BY time, kind")).all()
    assert [(row.kind, round(row.value, 3), row.read_id) for row in found] == [
        ("split", 2.0, 0),
        ("dividend", 0.9, 0),
        ("dividend", 0.436, 0),
    ]
    store = BarsStore(migrator)
    now, then = store.after(None, limit=10), store.as_of(0).after(None, limit=10)
    assert then.adjustment[:, 0].tolist() == [bar[1] for bar in BARS]
    assert then.split[:, 0].tolist() == [bar[2] for bar in BARS]
    assert now.version > 0
    steps = [np.diff(np.log((bars.close * bars.adjustment)[:, 0])) for bars in (now, then)]
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-4)
