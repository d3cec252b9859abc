"""Which period each mail tells of: over quiet hours, outages, digests, refused recipients, restarts and clocks set back
the periods that a recipient got join without a gap and without an overlap."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agents.adapters.database.engine import open_engine
from agents.adapters.database.outbox import PostgresOutbox
from agents.adapters.database.report_store import ReportStore
from agents.adapters.mail.mailer import SmtpMailer
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.alarm_types import AlarmLimits
from agents.core.clock import SystemClock
from agents.core.meta_ports import Delivery
from agents.core.meta_types import Alarm, MailSettings, OpenAlarm
from agents.tuning.alarms import desk_alarms
from agents.tuning.delivery import deliver
from agents.wiring.reporting import Reporting, write_report
from tests.conftest import SERVICES
from tests.integration.test_mail import Server, authority, certificates, secret, start
from tests.unit.reports.test_report import empty_facts, full_facts

__all__ = ["authority", "certificates", "secret"]

START = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ME, YOU = "me@example.org", "you@example.org"
PERIOD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) to (\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
REPORTING = Reporting(desk="desk", period=2 * HOUR, with_pictures=False)


def mail_settings(**changes):
    base = MailSettings(
        server="localhost",
        port=25,
        security="starttls",
        account="",
        sender="desk@example.org",
        secret_file=None,
        recipients=(ME, YOU),
        mode="every_report",
        frequency_s=7200,
        quiet_hours=None,
    )
    return replace(base, **changes)


class Desk:
    """A report desk on the real database whose facts a test makes up, and the mail of it."""

    def __init__(self, reports, outbox):
        self.reports, self.outbox, self.made = reports, outbox, empty_facts()
        self.up, self.refused, self.got = True, {}, {ME: [], YOU: []}

    def facts(self, period):
        return replace(self.made, period=period)

    def __getattr__(self, name):
        return getattr(self.reports, name)

    def send(self, settings, message, recipients):
        """As a server: takes the message for whom it does not refuse."""
        if not self.up:
            return Delivery("451 later")
        refused = {address: self.refused[address] for address in recipients if address in self.refused}
        if len(refused) == len(recipients):
            return Delivery("all refused", refused)
        for address in set(recipients) - set(refused):
            self.got[address].append(told(message))
        return Delivery(refused=refused)

    def report(self, at):
        outcome = write_report(self, self.outbox, REPORTING, at)["mail"]
        deliver(self.outbox, self, at)
        return outcome


def told(message):
    """The period that a mail's text tells of."""
    body = email.message_from_bytes(message, policy=email.policy.default).get_body(("plain",)).get_content()
    first, last = PERIOD.search(body).groups()
    return datetime.fromisoformat(first + "+00:00"), datetime.fromisoformat(last + "+00:00")


def assert_joined(periods):
    """Each begins where the one before ended."""
    assert [start for start, _ in periods[1:]] == [end for _, end in periods[:-1]]


@pytest.fixture
def desk(owner, database, tmp_path):
    engine = open_engine(SERVICES.database_url(database, "quorum_meta"))
    made = Desk(ReportStore(engine, MemoryWeightCache(), SystemClock(), tmp_path), PostgresOutbox(engine))
    made.outbox.store_mail_settings(mail_settings())
    yield made
    engine.dispose()


def every_two_hours(desk, count, *, after=START):
    return [desk.report(after + 2 * HOUR * (k + 1)) for k in range(count)]


def test_a_daily_digest_tells_of_the_whole_day(desk):
    """Seen: it told of the last two hours."""
    desk.outbox.store_mail_settings(mail_settings(mode="daily_digest"))
    every_two_hours(desk, 37)
    assert len(desk.got[ME]) == 4
    assert_joined(desk.got[ME])
    assert [end - start for start, end in desk.got[ME]] == [2 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR]


def test_the_first_mail_after_quiet_hours_tells_of_the_night(desk):
    """Seen: the reports of the night were dropped. The zone's clock goes forward in this night, so it is an hour less."""
    desk.outbox.store_mail_settings(mail_settings(quiet_hours=("22:00", "07:00"), timezone="Europe/Berlin"))
    every_two_hours(desk, 24)
    assert_joined(desk.got[ME])
    assert max(end - start for start, end in desk.got[ME]) == 10 * HOUR
    assert sum((end - start for start, end in desk.got[ME]), timedelta()) >= 36 * HOUR


def test_one_mail_after_an_outage_tells_of_all_of_it(desk, owner):
    """I08. Seen: 24 reports, and the mail after two days told of two hours; no alarm, since each report replaced the
    one that waited."""
    every_two_hours(desk, 3)
    desk.up = False
    every_two_hours(desk, 24, after=START + 6 * HOUR)
    facts = desk.reports.alarm_facts(START + 54 * HOUR, START)
    assert facts.waiting_mail.oldest == START + 8 * HOUR
    assert "mail_late" in {a.kind for a in desk_alarms(facts, AlarmLimits(stale_after=9 * HOUR))}
    desk.up = True
    desk.report(START + 56 * HOUR)
    assert desk.got[ME][-1] == (START + 6 * HOUR, START + 56 * HOUR)
    assert_joined(desk.got[ME])
    assert len(desk.got[ME]) == 4


def test_only_if_changed_is_silent_until_something_changes_and_then_tells_of_all(desk):
    """Seen: an open suggestion counted as a change, and there is always one, so every report was mailed."""
    desk.outbox.store_mail_settings(mail_settings(mode="only_if_changed"))
    desk.made = replace(full_facts(), trading=empty_facts().trading)
    outcomes = every_two_hours(desk, 6)
    assert outcomes == ["queued"] + ["nothing has changed"] * 5
    alarm = Alarm(kind="disk_full", subject="disk", severity="high", detail="1 GB free")
    desk.made = replace(desk.made, alarms=[OpenAlarm(alarm=alarm, opened_at=START)])
    assert desk.report(START + 14 * HOUR) == "queued", "an alarm opened"
    assert desk.report(START + 16 * HOUR) == "nothing has changed"
    desk.made = replace(desk.made, alarms=[])
    assert desk.report(START + 18 * HOUR) == "queued", "it is over"
    weights = {name: Decimal("0.1") for name in desk.made.weights}
    desk.made = replace(desk.made, weights=weights)
    assert desk.report(START + 20 * HOUR) == "queued", "weights moved"
    desk.made = replace(desk.made, trading=replace(desk.made.trading, orders=3))
    assert desk.report(START + 22 * HOUR) == "queued", "it ordered"
    assert_joined(desk.got[ME])


def test_what_happened_in_the_quiet_hours_is_news_in_the_morning(desk):
    """The report that may be mailed is a quiet one; what the night brought is in its mail's period."""
    desk.outbox.store_mail_settings(mail_settings(mode="only_if_changed", quiet_hours=("22:00", "07:00")))
    quiet = replace(full_facts(), trading=empty_facts().trading)
    busy = replace(quiet, trading=replace(quiet.trading, orders=3))
    night = START + 25 * HOUR

    def facts(period):
        return replace(busy if period.start < night <= period.end else quiet, period=period)

    desk.facts = facts
    outcomes = every_two_hours(desk, 17)
    mailed = [START + 2 * HOUR * (k + 1) for k, outcome in enumerate(outcomes) if outcome == "queued"]
    assert mailed == [START + 8 * HOUR, START + 32 * HOUR]
    assert desk.got[ME] == [(START, mailed[0]), (mailed[0], mailed[1])]


def test_a_clock_a_year_ahead_does_not_end_the_mail(desk):
    """Seen: the mail that was sent a year ahead forbade every other one for a year."""
    every_two_hours(desk, 2)
    desk.report(START + 4 * HOUR + timedelta(days=365))
    del desk.got[ME][-1]
    every_two_hours(desk, 2, after=START + 4 * HOUR)
    assert len(desk.got[ME]) == 4
    assert_joined(desk.got[ME])


def test_a_process_that_dies_while_it_sends_leaves_the_mail_to_the_next(desk):
    write_report(desk, desk.outbox, REPORTING, START + 2 * HOUR)
    (mail,) = desk.outbox.waiting()
    assert desk.outbox.claim(mail.id, START + 2 * HOUR)
    assert deliver(desk.outbox, desk, START + 2 * HOUR) == [], "somebody sends it at this moment"
    later = START + 2 * HOUR + timedelta(minutes=3)
    assert "being sent" in write_report(desk, desk.outbox, REPORTING, later)["mail"]
    assert deliver(desk.outbox, desk, START + 2 * HOUR + timedelta(minutes=6)) != []
    assert len(desk.got[ME]) == 1


# ---------------------------------------------------------------- refused recipients


def test_a_refused_recipient_is_tried_again_alone_until_it_gets_the_very_mail(desk, owner):
    """Seen: a mail that one recipient got was "sent", and the refused one never heard of it."""
    desk.refused = {YOU: "refused: 450 mailbox busy"}
    desk.report(START + 2 * HOUR)
    assert (len(desk.got[ME]), len(desk.got[YOU])) == (1, 0)
    facts = desk.reports.alarm_facts(START + 2 * HOUR, START)
    assert facts.refused == {YOU: "refused: 450 mailbox busy"}
    assert facts.waiting_mail is None, "it did leave"
    desk.report(START + 4 * HOUR)
    desk.refused = {}
    deliver(desk.outbox, desk, START + 6 * HOUR)
    assert (len(desk.got[ME]), len(desk.got[YOU])) == (2, 2), "nobody got one twice"
    assert sorted(desk.got[YOU]) == desk.got[ME]
    assert desk.outbox.waiting() == []
    assert desk.reports.alarm_facts(START + 6 * HOUR, START).refused == {}


def test_who_is_refused_for_three_days_is_given_up_and_said(desk, owner):
    desk.refused = {YOU: "refused: 550 no such user"}
    desk.report(START + 2 * HOUR)
    deliver(desk.outbox, desk, START + timedelta(days=4))
    with owner.connect() as connection:
        row = connection.execute(text("SELECT state, recipients, message FROM outbox")).one()
    assert row == ("sent", {ME: "sent", YOU: "refused: 550 no such user"}, None)
    assert YOU in desk.reports.alarm_facts(START + timedelta(days=4), START).refused


def test_a_recipient_that_was_taken_off_the_list_is_not_tried_again(desk):
    desk.refused = {YOU: "refused: 550 no such user"}
    desk.report(START + 2 * HOUR)
    desk.outbox.store_mail_settings(mail_settings(recipients=(ME,)))
    deliver(desk.outbox, desk, START + 3 * HOUR)
    assert desk.outbox.waiting() == []


class Refusing(Server):
    """Takes mail for one of the two recipients."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("you"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 fine"


def test_a_real_server_that_refuses_one_of_two(certificates, secret, desk):
    file, context = certificates
    server = Refusing()
    controller, port = start(server, context)
    sender = mail_settings(port=port, account="desk", secret_file=str(secret))
    try:
        partly = SmtpMailer(file).send(sender, b"Subject: x\r\n\r\nx", [ME, YOU])
        nobody = SmtpMailer(file).send(sender, b"Subject: x\r\n\r\nx", [YOU])
    finally:
        controller.stop()
    assert partly == Delivery(refused={YOU: "refused: 550 no such user"})
    assert nobody.problem and nobody.refused == {YOU: "refused: 550 no such user"}
    assert [recipients for _, recipients, _ in server.messages] == [[ME]]


# ---------------------------------------------------------------- whatever happens

MODES = (
    {},
    {"mode": "daily_digest"},
    {"mode": "only_if_changed"},
    {"quiet_hours": ("22:00", "07:00"), "timezone": "America/New_York"},
    {"frequency_s": 6 * 3600},
)
STEP = st.tuples(
    st.integers(1, 3),  # report hours until the next one; the daemon was down where it is more than one
    st.sampled_from(range(len(MODES))),
    st.booleans(),  # the server answers
    st.sampled_from([(), (YOU,), (ME,), (ME, YOU)]),  # and refuses
    st.booleans(),  # something was ordered
    st.sampled_from([0, 0, 0, 30, 90]),  # the clock is set back by so many minutes afterwards
)


@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=5, max_size=11))
def test_the_periods_that_a_recipient_got_have_no_hole_and_no_overlap(desk, owner, steps):
    with owner.begin() as connection:
        connection.execute(text("TRUNCATE outbox, project_reports"))
    desk.got, at = {ME: [], YOU: []}, START
    for hours, mode, up, refused, ordered, back in steps:
        at += 2 * HOUR * hours
        desk.outbox.store_mail_settings(mail_settings(**MODES[mode]))
        desk.up, desk.refused = up, dict.fromkeys(refused, "refused: 450 busy")
        trading = replace(desk.made.trading, orders=int(ordered))
        desk.made = replace(desk.made, trading=trading)
        desk.report(at)
        at -= timedelta(minutes=back)
    desk.outbox.store_mail_settings(mail_settings(frequency_s=60))
    desk.up, desk.refused = True, {}
    at += 12 * HOUR
    desk.report(at)
    for periods in (sorted(desk.got[ME]), sorted(desk.got[YOU])):
        assert_joined(periods)
        assert periods[-1][1] == at
        assert periods[0][0] == START + 2 * HOUR * steps[0][0] - 2 * HOUR, "from the first report on"
