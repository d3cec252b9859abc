"""hypertables, append-only guards, views, roles"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HYPERTABLES = (
    "bars",
    "exogenous",
    "signals",
    "decision_details",
    "equity",
    "shadow_returns",
    "bar_contributions",
    "agent_work_log",
    "system_metrics",
)
CHUNK = "90 days"
"""Until `quorum` fits it to the desk's bar interval."""

APPEND_ONLY = ("decisions", "fills", "corporate_actions", "trades", "trade_attribution")

VIEWS = {
    "v_equity": """
        SELECT time, book, equity, cash, turnover,
               1 - equity / max(equity) OVER (PARTITION BY book ORDER BY time) AS drawdown
        FROM equity""",
    "v_positions": """
        SELECT p.symbol, p.quantity, round(p.cost / p.quantity, 8) AS average_entry_price, d.mark,
               p.quantity::float8 * d.mark AS value,
               p.quantity::float8 * d.mark - p.cost::float8 + p.carried::float8 AS unrealised_pnl,
               p.opened_at, d.time AS marked_at
        FROM positions p
        LEFT JOIN LATERAL (SELECT mark, time FROM decision_details d WHERE d.symbol = p.symbol
                           ORDER BY time DESC LIMIT 1) d ON true""",
    "v_trades": """
        SELECT t.trade_id, t.symbol, t.side, t.quantity, t.opened_at, t.closed_at, t.entry_price, t.exit_price,
               t.fees, t.pnl,
               (SELECT jsonb_object_agg(a.agent_name, a.contribution) FROM trade_attribution a
                WHERE a.trade_id = t.trade_id) AS contributions
        FROM trades t""",
    "v_weights_current": """
        SELECT w.key AS agent_name, w.value::numeric AS weight, v.version, v.timestamp, v.source, v.reason
        FROM (SELECT version, timestamp, agent_weights, 'weight_history' AS source, reason, 1 AS rank
              FROM (SELECT * FROM weight_history WHERE status IN ('apply', 'revert', 'initial')
                    ORDER BY version DESC LIMIT 1) h
              UNION ALL
              SELECT weights_version, time, weights, 'last decision (' || weights_level || ')', 'no version published', 2
              FROM (SELECT * FROM decisions ORDER BY time DESC LIMIT 1) d
              ORDER BY rank LIMIT 1) v, jsonb_each_text(v.agent_weights) w""",
    "v_weight_changes": """
        SELECT h.version, h.timestamp, n.key AS agent_name, (h.previous_weights ->> n.key)::numeric AS previous,
               n.value::numeric AS weight, h.method, h.status, h.reason
        FROM weight_history h, jsonb_each_text(h.agent_weights) n""",
    "v_why_weight": """
        SELECT h.version, h.timestamp, n.key AS agent_name, n.value::numeric AS weight, h.status, h.method,
               h.causes -> n.key AS causes, h.sample_size, h.trials, h.reason
        FROM weight_history h, jsonb_each_text(h.agent_weights) n""",
    "v_agent_scorecard": """
        WITH pace AS (
            SELECT (count(*) - 1) / NULLIF(EXTRACT(epoch FROM max(time) - min(time)) / 31557600.0, 0) AS per_year
            FROM decisions),
        shadow AS (
            SELECT agent_name, count(*) AS bars, sum("return") AS total_return,
                   CASE WHEN count(*) >= 20 AND stddev_samp("return") > 0
                        THEN avg("return") / stddev_samp("return") END AS sharpe_per_bar,
                   sum(hits)::float8 / NULLIF(sum(calls), 0) AS hit_rate
            FROM shadow_returns GROUP BY agent_name),
        money AS (SELECT agent_name, sum(contribution) AS contribution FROM bar_contributions GROUP BY agent_name),
        opinions AS (SELECT agent_name, count(*) FILTER (WHERE NOT abstained) AS signals,
                            count(*) FILTER (WHERE abstained) AS abstentions FROM signals GROUP BY agent_name)
        SELECT s.agent_name, o.signals, o.abstentions, w.weight, m.contribution,
               s.sharpe_per_bar * sqrt(p.per_year) AS shadow_sharpe, s.hit_rate, s.total_return AS shadow_return, s.bars
        FROM shadow s CROSS JOIN pace p
        LEFT JOIN money m USING (agent_name)
        LEFT JOIN opinions o USING (agent_name)
        LEFT JOIN v_weights_current w USING (agent_name)""",
    "v_tuning_value_added": """
        SELECT l.time, c.book AS control, l.equity AS live_equity, c.equity AS control_equity,
               l.equity - c.equity AS value_added
        FROM equity l JOIN equity c ON c.time = l.time AND c.book LIKE 'control:%'
        WHERE l.book IN ('paper', 'live')""",
    "v_why_trade": """
        SELECT o.decision_time, o.symbol, o.side, o.quantity, o.state, o.reason AS outcome, o.client_order_id,
               d.weights_version, d.weights_level, d.risk_state, x.combined, x.multiplier, x.raw_weight,
               x.target_weight, x.clamps, f.filled_quantity, f.price, f.fees, g.votes
        FROM orders o
        JOIN decisions d ON d.time = o.decision_time
        JOIN decision_details x ON x.time = o.decision_time AND x.symbol = o.symbol
        LEFT JOIN LATERAL (
            SELECT sum(quantity) AS filled_quantity, sum(quantity * price) / NULLIF(sum(quantity), 0) AS price,
                   sum(fee) AS fees
            FROM fills WHERE fills.client_order_id = o.client_order_id) f ON true
        LEFT JOIN LATERAL (
            SELECT jsonb_object_agg(s.agent_name, jsonb_build_object(
                       'strength', s.strength, 'confidence', s.confidence, 'abstained', s.abstained,
                       'weight', d.weights ->> s.agent_name, 'reason', s.reason)) AS votes
            FROM signals s WHERE s.time = o.decision_time AND s.symbol = o.symbol) g ON true""",
    "v_health": """
        SELECT (SELECT max(time) FROM bars) AS newest_bar, (SELECT max(time) FROM decisions) AS newest_decision,
               (SELECT max(recorded_at) FROM decisions) AS newest_decision_recorded_at,
               (SELECT risk_state FROM decisions ORDER BY time DESC LIMIT 1) AS risk_state,
               (SELECT count(*) FROM orders WHERE state IN ('intent', 'acked', 'partial', 'unknown')) AS open_orders,
               (SELECT count(*) FROM orders WHERE state = 'unknown') AS unknown_orders,
               (SELECT count(*) FROM bar_quarantine) AS quarantined_rows,
               (SELECT count(*) FROM agent_work_log WHERE NOT ok AND time > now() - interval '1 day') AS agent_failures_1d,
               pg_database_size(current_database()) AS database_bytes""",
}

TRADER_INSERTS = (
    "bars",
    "bar_files",
    "bar_quarantine",
    "exogenous",
    "signals",
    "decisions",
    "decision_details",
    "orders",
    "fills",
    "corporate_actions",
    "trades",
    "trade_attribution",
    "positions",
    "desk_state",
    "equity",
    "shadow_returns",
    "bar_contributions",
    "agent_work_log",
    "risk_events",
    "system_metrics",
    "paper_orders",
)
META_TABLES = (
    "weight_history",
    "agent_performance",
    "project_tasks",
    "project_reports",
    "improvement_suggestions",
    "strategy_variants",
    "ml_models",
    "email_config",
    "job_runs",
    "outbox",
)


def upgrade() -> None:
    for table in HYPERTABLES:
        op.execute(
            f"SELECT create_hypertable('{table}', by_range('time', INTERVAL '{CHUNK}'),"
            " create_default_indexes => false, if_not_exists => true)"
        )
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are never changed or deleted; corrections are new rows', TG_TABLE_NAME;
        END $$""")
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    _grant()


def _grant() -> None:
    """Rights of the four roles; on a server where we may not create roles, one user does everything."""
    op.execute("""
        DO $$
        DECLARE wanted text;
        BEGIN
            FOREACH wanted IN ARRAY ARRAY['quorum_owner', 'quorum_trader', 'quorum_meta', 'quorum_reader'] LOOP
                IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                    EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
                END IF;
            END LOOP;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to create roles: all commands act as %', current_user;
        END $$""")
    statements = [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO quorum_trader, quorum_meta, quorum_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO quorum_trader, quorum_meta",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO quorum_trader, quorum_meta",
        "REVOKE SELECT ON email_config FROM quorum_trader",
        f"GRANT INSERT ON {', '.join(TRADER_INSERTS)} TO quorum_trader",
        "GRANT UPDATE ON orders, positions, desk_state, risk_events TO quorum_trader",
        "GRANT DELETE ON positions TO quorum_trader",
        f"GRANT INSERT, UPDATE ON {', '.join(META_TABLES)} TO quorum_meta",
        "GRANT INSERT ON agent_work_log, system_metrics TO quorum_meta",
        f"GRANT SELECT ON {', '.join(VIEWS)} TO quorum_reader",
    ]
    body = "\n".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
