"""facts and a summary -> every value of a report as words, so that the templates only place it. Pure; what is not known
reads "n/a", never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.core.types import REMAINDER
from agents.reports.formatting import MISSING, ago, money, number, percent, signed_money

Row = dict[str, Any]


def verdict_of(facts: Mapping[str, Any], summary: Row, alarms: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """(tone, headline, one more sentence); tone is good, watch or alarm."""
    at = facts["period_end"]
    if not facts["now"]:
        return "watch", "No decision has been made yet", "The desk has no bars, or the trading daemon does not run."
    worst = alarms[0]["severity"] if alarms else ""
    state = str(summary["risk_state"])
    newest = ago(summary["newest_decision"], at)
    change = facts["weight_history"][0] if facts["weight_history"] else None
    weights = (
        "No weights were decided yet."
        if change is None
        else {
            "apply": "Weights were moved: ",
            "hold": "Weights are held: ",
            "fallback": "Weights stay as they are: ",
            "revert": "Weights were reverted: ",
            "initial": "Weights stay as they are: ",
        }[change["status"]]
        + f"{change['reason']}."
    )
    if worst in ("critical", "high"):
        return "alarm", f"Look now: {len(alarms)} alarm{'s' if len(alarms) > 1 else ''}, desk {state}", weights
    if alarms:
        return "watch", f"Keep an eye on it: {len(alarms)} alarm{'s' if len(alarms) > 1 else ''}, desk {state}", weights
    return "good", f"All well: desk {state}, last decision {newest}", weights


def content_of(
    facts: Mapping[str, Any],
    summary: Row,
    alarms: Sequence[Mapping[str, Any]],
    suggestions: Sequence[Row],
    *,
    desk: str,
    rows: int,
) -> Row:
    """All that the templates place."""
    tone, headline, sentence = verdict_of(facts, summary, alarms)
    added = next((row for row in summary["tuning_value_added"] if row["control"] == "equal"), None)
    return {
        "desk": desk,
        "tone": tone,
        "headline": headline,
        "sentence": sentence,
        "period": f"{facts['period_start']:%Y-%m-%d %H:%M} to {facts['period_end']:%Y-%m-%d %H:%M} UTC",
        "alarms": [
            {**alarm, "kind": alarm["kind"].replace("_", " "), "since": f"{alarm['opened_at']:%Y-%m-%d %H:%M}"}
            for alarm in alarms
        ],
        "kpis": [
            ("Equity", money(summary["equity"]), f"cash {money(summary['cash'])}"),
            (
                "Last day",
                signed_money(summary["pnl_day"]),
                f"week {signed_money(summary['pnl_week'])}, month {signed_money(summary['pnl_month'])}",
            ),
            ("Drawdown", percent(summary["drawdown"]), f"deepest {percent(summary['max_drawdown'])}"),
            (
                "Tuning added",
                number(added["difference"], sign=True) if added else MISSING,
                "Sharpe against equal weights"
                + (f" [{number(added['low'])}, {number(added['high'])}]" if added and added["low"] is not None else ""),
            ),
        ],
        "happened": _happened(facts, summary),
        "weights": _weights(facts),
        "decision": _decision(facts),
        "changes": _changes(facts)[:rows],
        "tuner": _tuner(facts),
        "added": [
            {
                "control": row["control"],
                "money": signed_money(row["money"]),
                "difference": number(row["difference"], sign=True),
                "interval": f"[{number(row['low'])}, {number(row['high'])}]" if row["low"] is not None else "",
                "verdict": row["verdict"],
            }
            for row in summary["tuning_value_added"]
        ],
        "agents": _agents(facts),
        "positions": _cut([_position(row, summary) for row in facts["positions"]], rows),
        "trades": _cut([_trade(row) for row in facts["trades"]], rows, facts["trade_totals"][0]["trades"]),
        "jobs": _jobs(facts),
        "tasks": _cut(facts["tasks"], rows),
        "system": _system(facts),
        "freshness": _freshness(facts, rows),
        "risk_events": _cut([_risk_event(row) for row in facts["risk_events"]], rows),
        "work": [_work(row) for row in facts["work"]],
        "parity": _parity(facts),
        "recommendations": [{**s, "facts": _evidence(s["evidence"])} for s in suggestions[:rows]],
        "more_recommendations": max(0, len(suggestions) - rows),
        "glossary": GLOSSARY,
    }


def _happened(facts: Mapping[str, Any], summary: Row) -> list[str]:
    totals, costs, decisions = facts["trade_totals"][0], facts["costs"][0], facts["decisions"][0]
    lines = []
    if totals["trades"]:
        lines.append(
            f"{totals['trades']:,} trades closed for {signed_money(totals['pnl'])}, {totals['won'] / totals['trades']:.0%} of them won"
            f" (best {signed_money(totals['best'])}, worst {signed_money(totals['worst'])})."
        )
    else:
        why = (
            ", ".join(f"{row['reason']} ({row['times']:,})" for row in facts["no_trade"])
            or "no decision fell into this period"
        )
        lines.append(
            f"Nothing was closed. {decisions['decisions']:,} decisions, {decisions['orders'] or 0:,} orders; why not more: {why}."
        )
    if costs["fills"]:
        lines.append(
            f"{costs['fills']:,} fills over {money(costs['notional'])}: fees {money(costs['fees'])}, spread {money(costs['spread'])},"
            f" impact {money(costs['impact'])}, delay from decision to open {signed_money(costs['delay'])}."
        )
    broken = [row for row in facts["orders"] if row["state"] in ("rejected", "expired", "unknown", "not_placed")]
    if broken:
        lines.append(
            "Orders that came to nothing: "
            + ", ".join(f"{row['orders']:,} {row['state'].replace('_', ' ')}" for row in broken)
            + "."
        )
    lines.append(
        f"Exposure: gross {percent(summary['gross_exposure'], 0)}, net {percent(summary['net_exposure'], 0)} of equity."
    )
    return lines


def _weights(facts: Mapping[str, Any]) -> list[Row]:
    before = _weights_before(facts)
    causes = facts["weight_history"][0]["causes"] or {} if facts["weight_history"] else {}
    rows = []
    for row in facts["weights"]:
        name, weight = row["agent_name"], float(row["weight"])
        change = weight - before[name] if name in before else None
        parts = sorted(((k, v) for k, v in causes.get(name, {}).items() if abs(v) >= 0.005), key=lambda p: -abs(p[1]))
        rows.append(
            {
                "agent": name,
                "weight": percent(weight),
                "bar": round(100 * weight),
                "change": percent(change, sign=True) if change else "",
                "why": ", ".join(f"{k} {percent(v, sign=True)}" for k, v in parts),
            }
        )
    return rows


def _weights_before(facts: Mapping[str, Any]) -> dict[str, float]:
    older = [row for row in facts["changes"] if row["timestamp"] <= facts["period_start"]]
    return {name: float(w) for name, w in older[-1]["agent_weights"].items()} if older else {}


def _decision(facts: Mapping[str, Any]) -> Row | None:
    if not facts["weight_history"]:
        return None
    row = facts["weight_history"][0]
    return {
        "what": {
            "apply": "moved",
            "hold": "held",
            "fallback": "kept (no answer)",
            "revert": "reverted",
            "initial": "set",
        }[row["status"]],
        "when": f"{row['timestamp']:%Y-%m-%d %H:%M}",
        "version": row["version"],
        "method": row["method"],
        "reason": row["reason"][:1].upper() + row["reason"][1:],
        "sample": row["sample_size"],
        "trials": row["trials"],
        "expected": number(row["sharpe_improvement"], sign=True),
    }


def _changes(facts: Mapping[str, Any]) -> list[Row]:
    changed = [row for row in facts["weight_history"] if row["status"] in ("apply", "revert")]
    result = []
    for row in changed:
        old, new = row["previous_weights"] or {}, row["agent_weights"]
        moves = sorted(
            ((name, float(w) - float(old.get(name, 0))) for name, w in new.items()), key=lambda m: -abs(m[1])
        )
        shown = ", ".join(f"{name} {percent(change, sign=True)}" for name, change in moves[:3] if abs(change) >= 0.0005)
        result.append(
            {
                "when": f"{row['timestamp']:%Y-%m-%d}",
                "version": row["version"],
                "moves": shown,
                "reason": row["reason"],
                "expected": number(row["sharpe_improvement"], sign=True),
                "realised": number(row["realised_improvement"], sign=True) if row["realised_at"] else "not yet",
            }
        )
    return result


def _tuner(facts: Mapping[str, Any]) -> str:
    t = facts["tuner"][0]
    if not t["decisions"]:
        return "The tuner has not decided anything yet."
    text = (
        f"{t['decisions']:,} decisions so far: {t['changes']:,} changes, {t['holds']:,} holds, {t['fallbacks']:,} without an answer,"
        f" {t['reverts']:,} reverted."
    )
    if t["scored"]:
        text += (
            f" Of {t['scored']:,} changes scored after 30 days {t['came_true']:,} gained; Sharpe expected"
            f" {number(t['expected'], sign=True)}, realised {number(t['realised'], sign=True)} on average."
        )
    return text


def _agents(facts: Mapping[str, Any]) -> list[Row]:
    contributions = {row["agent_name"]: row["contribution"] for row in facts["contributions"]}
    month = {c["agent_name"]: c for c in facts["scorecards"] if c["window_days"] == 30}
    rows = []
    for card in (c for c in facts["scorecards"] if c["window_days"] == 0):
        name = card["agent_name"]
        interval = (
            "" if card["sharpe_low"] is None else f"[{number(card['sharpe_low'])}, {number(card['sharpe_high'])}]"
        )
        rows.append(
            {
                "agent": name,
                "sharpe": number(card["sharpe_ratio"]),
                "interval": interval,
                "month": number(month[name]["sharpe_ratio"]) if name in month else MISSING,
                "hits": percent(card["win_rate"]),
                "factor": number(card["profit_factor"]),
                "sure": percent(card["deflated_sharpe"], 0),
                "signals": f"{card['total_signals']:,}",
                "drawdown": percent(card["max_drawdown"]),
                "contribution": signed_money(contributions.get(name)),
                "verdict": card["verdict"].split(":")[0].split(",")[0],
            }
        )
    rest = contributions.get(REMAINDER)
    if rest is not None and rows:
        rows.append(
            dict.fromkeys(rows[0], "")
            | {"agent": "remainder", "contribution": signed_money(rest), "verdict": "no agent asked for it"}
        )
    return rows


def _risk_event(row: Row) -> str:
    return f"{row['time']:%Y-%m-%d %H:%M} {row['from_state']} → {row['to_state']} ({row['actor']}): {row['reason']}"


def _position(row: Row, summary: Row) -> Row:
    value, equity = row["value"], summary["equity"]
    return {
        "symbol": row["symbol"],
        "quantity": f"{float(row['quantity']):,.6g}",
        "entry": number(row["average_entry_price"]),
        "mark": number(row["mark"]),
        "share": percent(float(value) / float(equity) if value is not None and equity else None),
        "pnl": signed_money(row["unrealised_pnl"]),
    }


def _trade(row: Row) -> Row:
    return {
        "closed": f"{row['closed_at']:%m-%d %H:%M}",
        "symbol": row["symbol"],
        "side": row["side"],
        "quantity": f"{float(row['quantity']):,.6g}",
        "entry": number(row["entry_price"]),
        "exit": number(row["exit_price"]),
        "pnl": signed_money(row["pnl"]),
    }


def _jobs(facts: Mapping[str, Any]) -> list[Row]:
    return [
        {
            "job": row["job"].replace("_", " "),
            "due": f"{row['due_at']:%m-%d %H:%M}",
            "status": row["status"],
            "took": f"{float(row['took_s']):.1f} s" if row["took_s"] is not None else MISSING,
            "missed": str(row["missed"]) if row["missed"] else "",
            "detail": row["detail"],
        }
        for row in facts["jobs"]
    ]


def _system(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    s = facts["system"]
    total = s["commits"] + s["rollbacks"]
    return [
        ("CPU", f"{s['cpu_percent']:.0f} %, load {s['load_1m']:.1f} on {s['cpus']}"),
        ("Memory", f"{s['memory_percent']:.0f} %"),
        ("Disk free", f"{s['disk_free_bytes'] / 1e9:.0f} GB"),
        ("Database", f"{s['database_bytes'] / 1e6:,.0f} MB"),
        ("Slow queries", f"{s['slow_queries']}"),
        ("Rolled back", percent(s["rollbacks"] / total if total else None, 2)),
        ("Redis", "answers" if s["redis_alive"] else "does not answer"),
        ("Quarantined rows", f"{facts['quarantine'][0]['rows']:,}"),
    ]


def _parity(facts: Mapping[str, Any]) -> Row | None:
    """What the newest replay of the desk's own decisions found."""
    if not facts["parity"]:
        return None
    row = facts["parity"][0]
    checked = f"{row['decisions']:,} decisions from {row['checked_from']:%Y-%m-%d %H:%M} to {row['checked_to']:%Y-%m-%d %H:%M} UTC were replayed"
    told = (
        "every signal, weight, limit, order and fill came out the same"
        if not row["differences"]
        else f"{row['differences']:,} values differ"
    )
    slipped = ", ".join(
        f"{name} {signed_money(pair[0])} ({signed_money(pair[1])})" for name, pair in row["slippage"].items()
    )
    examples = [
        {
            "kind": e["kind"],
            "when": e["time"][:16].replace("T", " "),
            "subject": e["subject"],
            "recorded": str(e["recorded"])[:60],
            "recomputed": str(e["recomputed"])[:60],
        }
        for e in row["examples"][:6]
    ]
    return {"line": f"{checked}: {told}. Slippage recorded (by the cost model): {slipped}.", "examples": examples}


def _freshness(facts: Mapping[str, Any], rows: int) -> str:
    at = facts["period_end"]
    found = [f"{row['symbol']} {ago(row['newest'], at)}" for row in facts["freshness"]]
    more = f" and {len(found) - rows} more" if len(found) > rows else ""
    return (", ".join(found[:rows]) + more) or "no symbols yet"


def _work(row: Row) -> Row:
    return {
        "agent": row["agent_name"],
        "cycles": f"{row['cycles']:,}",
        "opinions": f"{row['opinions'] or 0:,}",
        "failures": str(row["failures"] or ""),
        "mean": f"{row['mean_ms']:.1f} ms",
    }


def _evidence(evidence: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in list(evidence.items())[:5])


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_short(v) for v in value[:4]) + "]"
    return str(value)[:80]


def _cut(rows: Sequence[Any], limit: int, total: int | None = None) -> Row:
    whole = len(rows) if total is None else total
    note = f"{limit} of {whole:,} shown; quorum psql has them all" if whole > limit else ""
    return {"rows": list(rows[:limit]), "note": note}


GLOSSARY = (
    ("Sharpe", "mean return over its deviation, a year"),
    ("[low, high]", "90 % interval by block bootstrap; where it spans 0, nothing is shown"),
    ("Sure", "deflated Sharpe: how likely the ratio is real, given how many agents were tried"),
    ("Hits", "share of positions that moved the right way"),
    ("Factor", "sum of gains over sum of losses"),
    ("Shadow book", "trades one agent alone at unit size, whatever its weight"),
    ("Tuning added", "the live book against one with weights that never change"),
    ("Hold", "the evidence for other weights was not strong enough"),
)
