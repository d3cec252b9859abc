"""Questions of the command line to a desk's database; reads only. Rows are mappings, made to be shown as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.engine import Row, row_dicts, transaction
from agents.core.effective import EffectiveWeight, heard_now
from agents.core.types import REMAINDER, Floats, RiskState, Times, state_of_order

_CURVES = """
SELECT book, array_agg(unit_value ORDER BY time) AS unit_values, (array_agg(units ORDER BY time DESC))[1] AS units,
       array_agg((extract(epoch FROM time) * 1000000)::bigint ORDER BY time) AS stamps
FROM v_unit_values GROUP BY book
"""
_COUNTS = """
SELECT (SELECT count(*) FROM decisions) AS decisions,
       (SELECT count(*) FROM orders) AS orders,
       (SELECT count(*) FROM orders o WHERE state IN ('rejected', 'cancelled', 'expired', 'not_placed')
           AND NOT EXISTS (SELECT 1 FROM fills f WHERE f.client_order_id = o.client_order_id)) AS unfilled_orders,
       (SELECT count(*) FROM orders
        WHERE state NOT IN ('filled', 'rejected', 'cancelled', 'expired', 'not_placed')) AS open_orders,
       (SELECT count(*) FROM fills) AS fills,
       (SELECT count(*) FROM trades) AS trades,
       (SELECT count(*) FILTER (WHERE pnl > 0)::float8 / NULLIF(count(*), 0) FROM trades) AS winning_trades,
       (SELECT coalesce(sum(pnl), 0) FROM trades) AS realised_pnl,
       (SELECT coalesce(sum(fee), 0) FROM fills) AS fees,
       (SELECT coalesce(sum(spread_cost + impact_cost), 0) FROM fills) AS slippage
"""
_WAITING_COMMANDS = """
SELECT time AS ordered_at, to_state AS state, reason FROM risk_events
WHERE actor = 'person' AND applied_at IS NULL ORDER BY id
"""
_REMAINDER = "SELECT sum(contribution) AS contribution FROM bar_contributions WHERE agent_name = :remainder"
_TUNING = """
SELECT count(*) AS decisions,
       count(*) FILTER (WHERE status IN ('apply', 'revert')) AS changes,
       count(*) FILTER (WHERE status IN ('hold', 'initial')) AS holds,
       count(*) FILTER (WHERE status = 'fallback') AS fallbacks,
       (SELECT reason FROM weight_history WHERE status IN ('apply', 'revert')
        ORDER BY version DESC LIMIT 1) AS last_reason
FROM weight_history
"""
_DECISION = """
SELECT d.*, x.* FROM decision_details x JOIN decisions d USING (time)
WHERE x.symbol = :symbol AND x.time <= :at ORDER BY x.time DESC LIMIT 1
"""
_VOTES = """
SELECT agent_name, strength, confidence, abstained, forecast, reason FROM signals
WHERE time = :time AND symbol = :symbol ORDER BY agent_name
"""
_MUTE = """
SELECT s.agent_name, min(s.reason) AS reason
FROM (SELECT evidence FROM weight_history WHERE status <> 'trial' ORDER BY version DESC LIMIT 1) newest,
     jsonb_array_elements_text(newest.evidence -> 'seats' -> 'mute') AS mute (name)
JOIN signals s ON s.agent_name = mute.name AND s.time = (SELECT max(time) FROM decisions)
GROUP BY s.agent_name ORDER BY s.agent_name
"""
_ORDERS = """
SELECT client_order_id, side, quantity, coalesce(kind, 'market') AS kind, limit_price, state, reason FROM orders
WHERE decision_time = :time AND symbol = :symbol ORDER BY kind DESC
"""
_FILLS = """
SELECT f.time, f.quantity, f.price, f.fee, f.spread_cost, f.impact_cost
FROM fills f JOIN orders o USING (client_order_id)
WHERE o.decision_time = :time AND o.symbol = :symbol ORDER BY f.fill_id
"""
_FUNDING = """
SELECT time, cash FROM corporate_actions WHERE kind = 'funding' AND symbol = :symbol AND time < :time
    AND time >= coalesce((SELECT max(time) FROM decisions WHERE time < :time), '1900-01-01Z') ORDER BY time
"""


@dataclass(frozen=True, slots=True)
class EquityCurves:
    """Unit values of every book on one time axis: `unit_values` maps a book to a float64 [T], its equity as if no
    capital had come or gone; times the book's `units` they are the money of today."""

    time: Times
    unit_values: dict[str, Floats]
    units: dict[str, float]


class DeskReader:
    """Read-only view of one desk's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, query: str, **parameters: object) -> list[Row]:
        """Rows of a query with named parameters."""
        with transaction(self._engine) as connection:
            return row_dicts(connection, query, **parameters)

    def curves(self) -> EquityCurves:
        """Unit values of all books, oldest first."""
        rows = self.rows(_CURVES)
        if not rows:
            return EquityCurves(np.array([], dtype="datetime64[us]"), {}, {})
        stamps = np.array(max((row["stamps"] for row in rows), key=len), dtype=np.int64)
        return EquityCurves(
            stamps.astype("datetime64[us]"),
            {row["book"]: np.array(row["unit_values"], dtype=np.float64) for row in rows},
            {row["book"]: row["units"] for row in rows},
        )

    def counts(self) -> Row:
        """How much there is: decisions, orders, fills, trades and their P&L, fees and slippage."""
        return self.rows(_COUNTS)[0]

    def scorecards(self) -> list[Row]:
        """One row for each agent, and the remainder's contribution as a row of its own."""
        rows = self.rows("SELECT * FROM v_agent_scorecard ORDER BY agent_name")
        if rows:
            rest = self.rows(_REMAINDER, remainder=REMAINDER)[0]
            rows.append({**dict.fromkeys(rows[0]), "agent_name": REMAINDER, "contribution": rest["contribution"]})
        return rows

    def value_added(self, window_days: int = 0) -> dict[str, Row]:
        """What each agent adds to the desk over a window (0: all history), by its name; empty before the first nightly
        check."""
        rows = self.rows("SELECT * FROM v_agent_value_added WHERE window_days = :days", days=window_days)
        return {row["agent_name"]: row for row in rows}

    def mute(self) -> dict[str, str]:
        """Agents that have no weight since they never say anything on this desk's symbols, with their newest reason."""
        return {row["agent_name"]: row["reason"] for row in self.rows(_MUTE)}

    def retired(self) -> list[str]:
        """Agents that are listened to no longer."""
        query = "SELECT agent_name FROM v_agent_life WHERE state = 'retired' ORDER BY agent_name"
        return [row["agent_name"] for row in self.rows(query)]

    def tuning(self) -> Row:
        """How many weight decisions there were, by outcome, and the reason of the newest change."""
        return self.rows(_TUNING)[0]

    def risk_state(self) -> RiskState | None:
        """The state that the desk is in now; None before its first decision."""
        words = self.health()["risk_state"]
        return state_of_order(words) if words else None

    def waiting_commands(self) -> list[Row]:
        """What a person ordered and no desk has obeyed yet, oldest first."""
        return self.rows(_WAITING_COMMANDS)

    def health(self) -> Row:
        """The one row of v_health."""
        return self.rows("SELECT * FROM v_health")[0]

    def positions(self) -> list[Row]:
        """Open positions."""
        return self.rows("SELECT * FROM v_positions ORDER BY symbol")

    def weights(self) -> list[Row]:
        """The current weights, largest first."""
        return self.rows("SELECT * FROM v_weights_current ORDER BY weight DESC, agent_name")

    def effective_weights(self, fresh_since: datetime | None = None) -> dict[str, EffectiveWeight]:
        """What the desk in effect listened to at its newest decision, by agent; empty before the first. Nobody, where
        it has had no bar since `fresh_since`."""
        found = [EffectiveWeight(**row) for row in self.rows("SELECT * FROM v_effective_weights")]
        if fresh_since is not None:
            health = self.health()
            found = heard_now(found, health["newest_bar"] or health["newest_decision"], fresh_since)
        return {own.agent_name: own for own in found}

    def symbols(self) -> list[str]:
        """Symbols that were ever decided upon."""
        return [row["symbol"] for row in self.rows("SELECT DISTINCT symbol FROM decision_details ORDER BY symbol")]

    def why(self, symbol: str, at: datetime) -> Row | None:
        """The newest decision about `symbol` at or before `at`, with every vote, the order and its fills, and the
        funding of its bar."""
        decisions = self.rows(_DECISION, symbol=symbol, at=at)
        if not decisions:
            return None
        decision = decisions[0]
        key = {"time": decision["time"], "symbol": symbol}
        decision["votes"] = self.rows(_VOTES, **key)
        decision["placed_orders"] = self.rows(_ORDERS, **key)
        decision["fills"] = self.rows(_FILLS, **key)
        decision["funding"] = self.rows(_FUNDING, **key)
        return decision
