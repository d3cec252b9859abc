"""The commands of the meta plane: run it, look at its jobs, agents and weights, and make or mail a report."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import tempfile
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.adapters.database.reader import DeskReader, Row
from agents.adapters.database.to_do import ToDo
from agents.adapters.mail.mailer import SmtpMailer
from agents.adapters.services.notify import notify
from agents.cli.options import moment
from agents.cli.screen import Screen, rows_table
from agents.cli.weights import add_weights
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import AgentsError, UsageError
from agents.core.log import configure_logging
from agents.core.meta_types import JobPlan, Report
from agents.core.settings import Settings, load_settings
from agents.meta.meta_orchestrator import MetaOrchestrator, Ticker
from agents.reports.formatting import number, percent
from agents.reports.report import message, standalone_html
from agents.tuning.job_runner import JOBS, Ran
from agents.tuning.schedule import lateness, slot
from agents.wiring import job_process, job_settings
from agents.wiring import meta as meta_app

LOGS = Path("logs")
MAIN_LOG = LOGS / "meta_orchestrator.log"
HISTORY_ROWS = 20


def add_commands(
    add: Callable[..., argparse.ArgumentParser], add_demo: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Register them."""
    sub = add(
        "meta",
        meta,
        "run the scheduled jobs: analyzer, optimizer, project manager",
        "quorum meta --once --only weight_optimizer",
    )
    sub.add_argument("--once", action="store_true", help="run every job once, now, and end")
    sub.add_argument("--only", choices=JOBS, metavar="JOB", help=f"this job alone: {', '.join(JOBS)}")
    sub = add("job", job, "run one job for a due time, as the daemon does", "quorum job weight_optimizer --json")
    sub.add_argument("name", metavar="JOB")
    sub.add_argument("--due-at", type=moment, metavar="TIME", help="the due time it stands for (default: now)")
    add_demo(add("jobs", jobs, "what ran, what is due, what failed", "quorum jobs --json"))
    sub = add(
        "agents",
        agents,
        "scorecards: how good each agent is, and whether that is shown",
        "quorum agents --window 90 --demo",
    )
    sub.add_argument("--window", type=int, default=0, metavar="DAYS", help="7, 30, 90 or 0 for all history (default)")
    add_demo(sub)
    add_weights(add, add_demo)
    sub = add(
        "todo", todo, "what the reports suggest, and tasks: list, accept, dismiss, add, done", "quorum todo accept 3"
    )
    sub.add_argument("action", nargs="?", default="list", choices=("list", "accept", "dismiss", "add", "done"))
    sub.add_argument("what", nargs="?", metavar="ID|TITLE", help="a suggestion's or task's id; for add a title")
    sub.add_argument("--priority", choices=("low", "medium", "high", "critical"), default="medium", help="for add")
    add_demo(sub)
    sub = add(
        "report",
        report,
        "the report that would be mailed, on the screen or in a file",
        "quorum report --demo --out report.html",
    )
    add_demo(sub)
    where = sub.add_mutually_exclusive_group()
    where.add_argument(
        "--out", type=Path, metavar="FILE", help="FILE.html: one self-contained page; FILE.eml: the very message"
    )
    where.add_argument("--open", action="store_true", help="show it in a browser")
    where.add_argument("--send-test", action="store_true", help="mail it to the configured recipients now")
    sub.add_argument(
        "--days", type=float, default=None, metavar="N", help="the last N days (default: since the last report)"
    )


# ---------------------------------------------------------------- running


def meta(options: argparse.Namespace, screen: Screen) -> int:
    """The daemon, or one cycle."""
    settings = load_settings(options.settings)
    log = MAIN_LOG if options.only is None else LOGS / f"{options.only}.log"
    if options.once and options.only:
        return _once_here(options, screen, settings, log)
    configure_logging(log, level=settings.log_level, console=not options.once)
    with meta_app.meta_plane(settings, demo=False, say=screen.say) as plane:
        runner = (
            job_process.own_process(options.settings)
            if settings.meta.own_process
            else job_process.in_this_process(plane)
        )
        plans = job_settings.plans_of(settings, options.only)
        orchestrator = MetaOrchestrator(plane.jobs, plans, runner, plane.clock, plane.watch)
        if options.once:
            screen.say(f"running {', '.join(plan.name for plan in plans)}")
            return _shown(orchestrator.run_now(), screen)
        longest_s = len(plans) * settings.meta.deadline_s + 300.0
        ticker = Ticker(
            orchestrator.tick,
            plane.clock,
            every_s=settings.meta.tick_s,
            longest_turn_s=longest_s,
            alive=lambda: notify("WATCHDOG=1"),
        )
        for number_ in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number_, ticker.stop)
        notify("READY=1")
        ended = ticker.run()
        notify("STOPPING=1")
        if not ended:
            logging.shutdown()
            os._exit(1)  # a thread that hangs would keep the process for ever; the supervisor starts a new one
    return 0


def _once_here(options: argparse.Namespace, screen: Screen, settings: Settings, log: Path) -> int:
    """One job in this process, with its outcome as the answer."""
    configure_logging(log, level=settings.log_level, console=False)
    outcomes: list[Row] = []
    with meta_app.meta_plane(settings, demo=False, say=screen.say) as plane:

        def run(plan: JobPlan, due_at: datetime) -> str:
            outcomes.append(plane.run_job(plan.name, None, due_at))
            return job_process.headline(plan.name, outcomes[0])

        ran = MetaOrchestrator(
            plane.jobs, job_settings.plans_of(settings, options.only), run, plane.clock, plane.watch
        ).run_now()
    if not ran[0].ok:
        raise AgentsError(ran[0].detail)
    screen.result(outcomes[0], ran[0].detail)
    return 0


def _shown(ran: list[Ran], screen: Screen) -> int:
    rows = [{"job": r.job, "outcome": "done" if r.ok else "FAILED", "detail": r.detail} for r in ran]
    screen.result(rows, rows_table("One cycle", rows, ("job", "outcome", "detail")))
    return 0 if all(r.ok for r in ran) else 1


def job(options: argparse.Namespace, screen: Screen) -> int:
    """One job's work without its bookkeeping: the daemon's child."""
    settings = load_settings(options.settings)
    configure_logging(LOGS / f"{options.name}.log", level=settings.log_level, console=False)
    with meta_app.meta_plane(settings, demo=False, say=lambda _line: None) as plane:
        outcome = plane.run_job(options.name, None, options.due_at)
    screen.result(outcome, job_process.headline(options.name, outcome))
    return 0


# ---------------------------------------------------------------- looking


def jobs(options: argparse.Namespace, screen: Screen) -> int:
    """Plans, lateness and the newest runs."""
    settings = load_settings(options.settings)
    with meta_app.meta_plane(settings, demo=options.demo, say=lambda _line: None) as plane:
        now = SystemClock().now()
        plans = []
        for plan in job_settings.plans_of(settings):
            newest = plane.jobs.newest(plan.name)
            late = None if options.demo else lateness(plan, newest, now)
            plans.append(
                {
                    "job": plan.name,
                    "every": f"{plan.every.total_seconds() / 3600:g} h",
                    "next_due": None if options.demo else slot(plan.every, now) + plan.every,
                    "last": newest.due_at if newest else None,
                    "status": newest.status if newest else "never ran",
                    "late_by_s": late.total_seconds() if late else None,
                }
            )
        runs = [
            {"job": r.job, "due_at": r.due_at, "status": r.status, "attempts": r.attempts, "detail": r.detail}
            for r in plane.jobs.recent(12)
        ]
    screen.result(
        {"plans": plans, "runs": runs},
        rows_table("Jobs", plans, ("job", "every", "last", "status", "next_due", "late_by_s")),
        rows_table("Newest runs", runs, ("job", "due_at", "status", "attempts", "detail")),
    )
    return 0


def agents(options: argparse.Namespace, screen: Screen) -> int:
    """The newest scorecards of one window."""
    if options.window not in (0, 7, 30, 90):
        raise UsageError(f"--window {options.window}: windows are 7, 30, 90 and 0 for all history")
    settings = load_settings(options.settings)
    with meta_app.meta_plane(settings, demo=options.demo, say=lambda _line: None) as plane:
        rows = DeskReader(plane.engine).rows(
            "SELECT * FROM agent_performance WHERE window_days = :w AND date = (SELECT max(date) FROM agent_performance)"
            " ORDER BY sharpe_ratio DESC NULLS LAST, agent_name",
            w=options.window,
        )
    shown = [
        {
            "agent": r["agent_name"],
            "signals": r["total_signals"],
            "Sharpe": number(r["sharpe_ratio"]),
            "90 %": f"{number(r['sharpe_low'])}..{number(r['sharpe_high'])}" if r["sharpe_low"] is not None else "",
            "sure": percent(r["deflated_sharpe"]),
            "hits": percent(r["win_rate"]),
            "factor": number(r["profit_factor"]),
            "IC": number(r["information_coefficient"]),
            "verdict": _short_verdict(r["verdict"]),
        }
        for r in rows
    ]
    title = (
        f"Agents, {'all history' if options.window == 0 else f'{options.window} days'} to {rows[0]['date']}"
        if rows
        else ""
    )
    table = (
        rows_table(title, shown, tuple(shown[0]))
        if shown
        else "no scorecards yet; run: quorum meta --once --only performance_analyzer"
    )
    screen.result(rows, table)
    return 0


def _short_verdict(verdict: str) -> str:
    """The word and whether it is shown."""
    shown = ", shown" if ", significant" in verdict else ", not shown" if "not significant" in verdict else ""
    return verdict.split(":")[0] + shown


def todo(options: argparse.Namespace, screen: Screen) -> int:
    """Suggestions and tasks, and what a person decides about them."""
    with meta_app.meta_plane(load_settings(options.settings), demo=options.demo, say=lambda _line: None) as plane:
        now = plane.clock.now()
        if options.action == "list":
            found = ToDo(plane.engine).open()
            tables = [
                rows_table("Suggestions", found["suggestions"], ("id", "severity", "kind", "state", "title", "action")),
                rows_table("Tasks", found["tasks"], ("id", "priority", "state", "title", "assigned_to")),
            ]
            screen.result(found, *tables)
            return 0
        if not options.what:
            raise UsageError(
                f"todo {options.action}: name an id (see: quorum todo)"
                if options.action != "add"
                else "todo add: give a title"
            )
        if options.action == "add":
            ToDo(plane.engine).add(options.what, options.priority, now)
            title: str | None = options.what
        elif not options.what.isdigit():
            raise UsageError(f"todo {options.action}: '{options.what}' is no id; see: quorum todo")
        elif options.action == "done":
            title = ToDo(plane.engine).finish(int(options.what), now)
        else:
            state = "accepted" if options.action == "accept" else "dismissed"
            title = ToDo(plane.engine).decide(int(options.what), state, now)
    if title is None:
        raise UsageError(f"todo {options.action}: there is no open one with id {options.what}; see: quorum todo")
    word = {"accept": "accepted, and a task now", "dismiss": "dismissed", "add": "added", "done": "done"}[
        options.action
    ]
    screen.result({"title": title, "action": options.action}, f"{word}: {title}")
    return 0


# ---------------------------------------------------------------- the report


def report(options: argparse.Namespace, screen: Screen) -> int:
    """Compose one; show it, write it, or mail it. Nothing is recorded."""
    settings = load_settings(options.settings)
    if options.out is not None and options.out.suffix not in (".html", ".eml"):
        raise UsageError(f"--out {options.out}: the name must end in .html or .eml")
    with meta_app.meta_plane(settings, demo=options.demo, say=screen.say) as plane:
        at = _end_of(plane) if options.demo else plane.clock.now()
        start = (
            at - timedelta(days=options.days)
            if options.days
            else (at - timedelta(days=settings.meta.demo_every_days) if options.demo else None)
        )
        screen.say("drawing")
        made, summary, _ = plane.report(at, start, keep=False)
        if options.send_test:
            return _send_test(plane, made, screen)
        if options.out is None and not options.open:
            screen.result({"subject": made.subject, "summary": summary, "text": made.text}, made.text)
            return 0
        path = options.out or Path(tempfile.mkdtemp(prefix="quorum-report-")) / "report.html"
        _write(path, plane, made)
        shown = options.open and webbrowser.open(path.resolve().as_uri())
        screen.result(
            {"file": str(path), "subject": made.subject}, f"{'opened' if shown else 'wrote'} {path}: {made.subject}"
        )
    return 0


def _end_of(plane: meta_app.MetaPlane) -> datetime:
    rows = DeskReader(plane.engine).rows("SELECT max(time) AS newest FROM decisions")
    newest = rows[0]["newest"]
    if not isinstance(newest, datetime):
        raise UsageError("the demo has not run yet; run: quorum demo")
    return SimulatedClock(newest.astimezone(UTC)).now()


def _write(path: Path, plane: meta_app.MetaPlane, made: Report) -> None:
    try:
        if path.suffix == ".eml":
            settings = plane.outbox.mail_settings()
            sender, recipients = (
                (settings.sender, settings.recipients)
                if settings
                else ("quorum@localhost.invalid", ("you@localhost.invalid",))
            )
            path.write_bytes(
                message(made, desk=plane.settings.desk.name, sender=sender, recipients=recipients).as_bytes()
            )
        else:
            path.write_text(standalone_html(made), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _send_test(plane: meta_app.MetaPlane, made: Report, screen: Screen) -> int:
    settings = plane.outbox.mail_settings()
    if settings is None:
        raise UsageError("no mail server is configured; run scripts/configure_email.py")
    finished = message(
        made, desk=plane.settings.desk.name, sender=settings.sender, recipients=settings.recipients
    ).as_bytes()
    screen.say(f"sending to {', '.join(settings.recipients)} through {settings.server}")
    problem = SmtpMailer().send(settings, finished)
    if problem:
        raise AgentsError(f"the test report was not sent: {problem}")
    screen.result({"sent": True, "recipients": settings.recipients}, f"sent: {made.subject}")
    return 0
