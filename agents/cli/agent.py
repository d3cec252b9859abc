"""`quorum agent`: where every agent stands on the desk, and a person's word about one."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from agents.adapters.database.reader import DeskReader
from agents.cli.own_agent import new
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.life_types import LISTENED_TO
from agents.core.settings import load_settings
from agents.reports.formatting import MISSING, interval, number, percent
from agents.reports.life_section import to_show
from agents.wiring.connections import connect_to_read

LIVES = """
SELECT l.agent_name, l.state, l.since, l.days, l.reason, l.actor, w.timestamp AS measured_at,
       w.evidence -> 'life' -> l.agent_name AS figures
FROM v_agent_life l LEFT JOIN LATERAL (
    SELECT timestamp, evidence FROM weight_history WHERE evidence ? 'life' ORDER BY version DESC LIMIT 1) w ON true
ORDER BY array_position(ARRAY['probation', 'shadow', 'decaying', 'full', 'retired', 'candidate'], l.state), l.agent_name
"""


def agent(options: Namespace, screen: Screen) -> int:
    """The six actions; those about a user's own file are in `own_agent` and `own_check`."""
    if options.action == "new":
        new(options, screen)
    elif options.action == "check":
        from agents.cli.own_check import check  # here: replays take longer to import than a list to show

        return check(options, screen)
    elif options.action == "list":
        _list(options, screen)
    elif options.action == "regimes":
        from agents.cli.regimes import regimes  # here: statistics take longer to import than a list to show

        regimes(options, screen)
    else:
        _change(options, screen)
    return 0


CHANCE = (
    "chance, ratio: that it adds to the desk, judged by the newest two years; what it added over all of them, which may"
    " say otherwise, is in quorum status and in the report"
)


def _list(options: Namespace, screen: Screen) -> None:
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        rows = DeskReader(connections.meta).rows(LIVES)
    finally:
        connections.close()
    lines = [_line(row) for row in rows]
    if not rows:
        screen.result(
            rows,
            "no agent has a state yet: the weight optimizer has not run on this desk (quorum job weight_optimizer)",
        )
        return
    screen.result(rows, rows_table("Coming and going", lines, tuple(lines[0])), CHANCE)


def _line(row: dict[str, Any]) -> dict[str, str]:
    figures = row["figures"] if row["figures"] and row["figures"]["state"] == row["state"] else {}
    known = figures.get("periods", 0) > 0
    return {
        "agent": row["agent_name"],
        "state": row["state"],
        "days": f"{row['days'] or 0:,}",
        "chance": percent(figures["belief"], 0) if known else MISSING,
        "ratio": f"{number(figures['ratio'], sign=True)} {interval(figures['ratio_low'], figures['ratio_high'])}"
        if known
        else MISSING,
        "still to show": to_show(figures, row["measured_at"]) if figures else row["reason"],
    }


def _change(options: Namespace, screen: Screen) -> None:
    """A person promotes or retires an agent; the weights follow at once."""
    name, action, reason = options.name, options.action, options.reason
    if name is None or not reason:
        raise UsageError(f"agent {action}: name the agent and say why: quorum agent {action} NAME --reason TEXT")
    # here: what decides about weights takes longer to import than a list to show
    from agents.tuning.agent_life import PERSONS, persons_change
    from agents.tuning.weight_decision import decide_weights
    from agents.wiring.meta import meta_plane

    with meta_plane(load_settings(options.settings), demo=options.demo, say=lambda _line: None) as plane:
        store, now = plane.store, plane.clock.now()
        lives, listed = store.life_changes().lives, store.listed
        if name not in listed:
            raise UsageError(f"agent {action}: no agent is named '{name}'; the settings name {', '.join(listed)}")
        change = persons_change(lives.get(name), action, (reason, "person"), (listed[name], plane.tuning.life), now)
        if change is None:
            state = lives[name].state if name in lives else "not on record yet (quorum job weight_optimizer)"
            raise UsageError(
                f"agent {action}: {name} is {state}; that can be done to one that is {', '.join(PERSONS[action])}"
            )
        if action == "retire" and not [n for n, life in lives.items() if n != name and life.state in LISTENED_TO]:
            raise UsageError(f"agent retire: nobody would be left to trade without {name}")
        outcome = decide_weights(store, plane.tuning, now, said=change)
    ranked = sorted(outcome["new_weights"].items(), key=lambda item: -item[1])
    weights = [{"agent": known, "weight": percent(weight)} for known, weight in ranked]
    screen.result(
        {"agent": name, "from": change.before, "to": change.after, "said": reason, **outcome},
        f"{name}: {change.before} -> {change.after}. Version {outcome['version']}: {outcome['reason']}",
        rows_table("Weights", weights, ("agent", "weight")),
    )
