"""the five queries of the first day answer rightly: agent_performance, scorecards of other windows, weight_trials"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAMES = (
    "ALTER TABLE {old} RENAME TO {new}",
    "ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}",
    "ALTER TABLE {new} RENAME CONSTRAINT ck_{old}_win_rate_range TO ck_{new}_win_rate_range",
    "ALTER INDEX ix_{old}_agent_name RENAME TO ix_{new}_agent_name",
)
TRADE_FIGURES = (
    ("trade_win_rate", sa.Double()),
    ("trade_profit_factor", sa.Double()),
    ("longest_winning_trades", sa.Integer()),
    ("longest_losing_trades", sa.Integer()),
)
KNOWN = "status IN ('apply', 'hold', 'fallback', 'revert', 'initial')"
KNOWN_BEFORE = "status IN ('apply', 'hold', 'fallback', 'revert', 'initial', 'trial')"
TRIAL = (
    "timestamp, agent_weights, previous_weights, method, reason, window_days, sample_size, trials, inputs_hash,"
    " sharpe_improvement, return_improvement, causes, evidence, recorded_at"
)
AGENT_PERFORMANCE = """
    SELECT date, agent_name, rank() OVER (PARTITION BY date ORDER BY sharpe_ratio DESC)::integer AS rank, window_days,
           sharpe_ratio, sharpe_low, sharpe_high, deflated_sharpe, sortino_ratio, calmar_ratio, max_drawdown, win_rate,
           profit_factor, trade_win_rate, trade_profit_factor, longest_winning_trades, longest_losing_trades,
           information_coefficient, brier_score, total_signals, total_trades, turnover, pnl, verdict, recorded_at
    FROM agent_scorecards WHERE window_days = 30 AND sharpe_ratio IS NOT NULL"""
TRADE_SIGNALS = """
    SELECT t.trade_id, t.symbol, t.side, t.opened_at, t.closed_at, t.pnl, a.agent_name, a.contribution,
           entry.decision_time AS entry_decided_at, i.strength AS entry_strength, i.confidence AS entry_confidence,
           i.abstained AS entry_abstained, i.reason AS entry_reason,
           exit.decision_time AS exit_decided_at, o.strength AS exit_strength, o.confidence AS exit_confidence,
           o.abstained AS exit_abstained, o.reason AS exit_reason
    FROM trades t
    JOIN trade_attribution a USING (trade_id)
    LEFT JOIN LATERAL (SELECT decision_time FROM fills f JOIN orders USING (client_order_id)
                       WHERE f.symbol = t.symbol AND f.time = t.opened_at ORDER BY decision_time LIMIT 1) entry ON true
    LEFT JOIN LATERAL (SELECT decision_time FROM fills f JOIN orders USING (client_order_id)
                       WHERE f.symbol = t.symbol AND f.time = t.closed_at ORDER BY decision_time LIMIT 1) exit ON true
    LEFT JOIN signals i ON i.time = entry.decision_time AND i.agent_name = a.agent_name AND i.symbol = t.symbol
    LEFT JOIN signals o ON o.time = exit.decision_time AND o.agent_name = a.agent_name AND o.symbol = t.symbol"""


def upgrade() -> None:
    for statement in NAMES:
        op.execute(statement.format(old="agent_performance", new="agent_scorecards"))
    for name, kind in TRADE_FIGURES:
        op.add_column("agent_scorecards", sa.Column(name, kind))
    op.execute(f"CREATE VIEW agent_performance AS {AGENT_PERFORMANCE}")
    op.execute(f"CREATE VIEW v_trade_signals AS {TRADE_SIGNALS}")
    _make_weight_trials()
    op.execute("ALTER TABLE weight_history DISABLE TRIGGER states_only")
    op.execute(
        f"INSERT INTO weight_trials (id, {TRIAL}) OVERRIDING SYSTEM VALUE"
        f" SELECT version, {TRIAL} FROM weight_history WHERE status = 'trial' ORDER BY version"
    )
    op.execute(
        "SELECT setval(pg_get_serial_sequence('weight_trials', 'id'), max(id)) FROM weight_trials HAVING max(id) > 0"
    )
    op.execute("DELETE FROM weight_history WHERE status = 'trial'")
    op.execute("ALTER TABLE weight_history ENABLE TRIGGER states_only")
    _replace_status_check(KNOWN)


def _make_weight_trials() -> None:
    op.create_table(
        "weight_trials",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_weights", postgresql.JSONB(), nullable=False, comment="what the method would choose"),
        sa.Column("previous_weights", postgresql.JSONB()),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer()) for name in ("window_days", "sample_size", "trials")),
        sa.Column("inputs_hash", sa.Text()),
        *(sa.Column(name, sa.Double()) for name in ("sharpe_improvement", "return_improvement")),
        *(sa.Column(name, postgresql.JSONB()) for name in ("causes", "evidence")),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "timestamp > '1900-01-01Z' AND timestamp < '2100-01-01Z'", name=op.f("ck_weight_trials_timestamp_sane")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_weight_trials")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON weight_trials FOR EACH ROW EXECUTE FUNCTION"
        " refuse_change()"
    )


def _replace_status_check(condition: str) -> None:
    op.execute("ALTER TABLE weight_history DROP CONSTRAINT ck_weight_history_status_known")
    op.execute(f"ALTER TABLE weight_history ADD CONSTRAINT ck_weight_history_status_known CHECK ({condition})")


def downgrade() -> None:
    """A trial gets its old version again where nothing has taken it, else one after the newest."""
    _replace_status_check(KNOWN_BEFORE)
    op.execute(f"""
        INSERT INTO weight_history (version, status, {TRIAL}) OVERRIDING SYSTEM VALUE
        SELECT CASE WHEN taken THEN newest + row_number() OVER (PARTITION BY taken ORDER BY id) ELSE id END, 'trial',
               {TRIAL}
        FROM (SELECT *, EXISTS (SELECT 1 FROM weight_history h WHERE h.version = t.id) AS taken,
                     (SELECT max(v) FROM (SELECT version FROM weight_history UNION ALL SELECT id FROM weight_trials)
                      AS every (v)) AS newest
              FROM weight_trials t) t""")
    op.drop_table("weight_trials")
    op.execute("DROP VIEW v_trade_signals")
    op.execute("DROP VIEW agent_performance")
    for name, _ in TRADE_FIGURES:
        op.drop_column("agent_scorecards", name)
    for statement in NAMES:
        op.execute(statement.format(old="agent_scorecards", new="agent_performance"))
