"""facts -> what a report says of jobs, agents' calls, the machine, fresh data and parity. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from agents.core.clock import CLOCK_STEP
from agents.core.facts import AgentWork, DeskFacts, ParityCheck, ParityDifference
from agents.core.meta_types import Heartbeat, JobRun
from agents.reports.content import DifferenceLine, JobLine, ParityLines, WorkLine
from agents.reports.formatting import MISSING, ago, percent, signed_money

TASK_STATES = ("open", "in_progress", "blocked", "done", "dismissed")
PRIORITIES = ("critical", "high", "medium", "low")
EXAMPLES_SHOWN, VALUE_CHARACTERS = 6, 60


def job_line(run: JobRun) -> JobLine:
    """The newest run of a job."""
    return JobLine(
        job=run.job.replace("_", " "),
        due=f"{run.due_at:%m-%d %H:%M}",
        status=run.status,
        took=f"{run.took.total_seconds():.1f} s" if run.took is not None else MISSING,
        missed=str(run.missed) if run.missed else "",
    )


def work_line(work: AgentWork) -> WorkLine:
    """An agent's calls in the period."""
    return WorkLine(
        agent=work.agent_name,
        cycles=f"{work.cycles:,}",
        opinions=f"{work.opinions:,}",
        failures=str(work.failures or ""),
        mean=f"{work.mean_ms:.1f} ms",
    )


def task_sentence(counts: Mapping[tuple[str, str], int]) -> str:
    """How many tasks there are by state, and of which priority those are that wait to be done."""
    if not counts:
        return "There are no tasks; quorum todo add makes one."
    states, waiting = dict.fromkeys(TASK_STATES, 0), dict.fromkeys(PRIORITIES, 0)
    for (state, priority), count in counts.items():
        states[state] += count
        if state not in ("done", "dismissed"):
            waiting[priority] += count
    by_state = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in states.items() if count)
    by_priority = ", ".join(f"{count:,} {priority}" for priority, count in waiting.items() if count)
    return f"{by_state}. Waiting, by priority: {by_priority or 'none'}."


def system_lines(facts: DeskFacts) -> list[tuple[str, str]]:
    """(what, how it stands)."""
    system = facts.system
    transactions = system.commits + system.rollbacks
    return [
        ("CPU", f"{system.cpu_percent:.0f} %, load {system.load_1m:.1f} on {system.cpus}"),
        ("Memory", f"{system.memory_percent:.0f} %"),
        ("Disk free", f"{system.disk_free_bytes / 1e9:.0f} GB"),
        ("Database", f"{system.database_bytes / 1e6:,.0f} MB"),
        ("Slow queries", f"{system.slow_queries}"),
        ("Rolled back", percent(system.rollbacks / transactions if transactions else None, 2)),
        ("Redis", "answers" if system.redis_alive else "does not answer"),
        ("Quarantined rows", f"{facts.quarantined_rows:,}"),
        *((_daemon_of(beat), _heard_of(beat, facts.period.end)) for beat in facts.heartbeats),
    ]


def _daemon_of(beat: Heartbeat) -> str:
    return f"{beat.daemon.replace('_', ' ').capitalize()} daemon"


def _heard_of(beat: Heartbeat, at: datetime) -> str:
    heard = "stopped" if beat.state == "stopped" else "heard of"
    when = (
        ago(beat.at, at) if beat.at <= at + CLOCK_STEP else f"at {beat.at:%Y-%m-%d %H:%M} UTC, by the machine's clock"
    )
    return f"{heard} {when}" + (f", cannot work: {beat.detail[:VALUE_CHARACTERS]}" if beat.detail else "")


def freshness_sentence(facts: DeskFacts, limit: int) -> str:
    """How old the newest bar of each symbol is, oldest first; of `limit` symbols at most."""
    ages = [f"{symbol} {ago(newest, facts.period.end)}" for symbol, newest in facts.freshness.items()]
    more = f" and {len(ages) - limit} more" if len(ages) > limit else ""
    return (", ".join(ages[:limit]) + more) or "no symbols yet"


def parity_lines(check: ParityCheck | None) -> ParityLines | None:
    """What the newest replay of the desk's own decisions came to."""
    if check is None:
        return None
    replayed = (
        f"{check.decisions:,} decisions from {check.checked_from:%Y-%m-%d %H:%M}"
        f" to {check.checked_to:%Y-%m-%d %H:%M} UTC were replayed"
    )
    outcome = (
        f"{check.differences:,} values differ"
        if check.differences
        else "every signal, weight, limit, order and fill came out the same"
    )
    slippage = ", ".join(
        f"{name} {signed_money(recorded)} ({signed_money(modelled)})"
        for name, (recorded, modelled) in check.slippage.items()
    )
    return ParityLines(
        line=f"{replayed}: {outcome}. Slippage recorded (by the cost model): {slippage}.",
        examples=[_difference(example) for example in check.examples[:EXAMPLES_SHOWN]],
    )


def _difference(example: ParityDifference) -> DifferenceLine:
    return DifferenceLine(
        kind=example.kind,
        when=example.time[:16].replace("T", " "),
        subject=example.subject,
        recorded=str(example.recorded)[:VALUE_CHARACTERS],
        recomputed=str(example.recomputed)[:VALUE_CHARACTERS],
    )
