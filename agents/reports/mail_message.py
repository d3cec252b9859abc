"""A report -> the very mail: text first, then HTML with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from agents.core.meta_types import Report

LINE_CHARACTERS = 200
"""A subject that is folded at 78 begins with a space in what readers show; servers take 998."""


def message_id(desk: str, report: Report) -> str:
    """The same report always has the same id, so that a repeated delivery is recognised."""
    return f"<report.{desk}.{report.period_end:%Y%m%dT%H%M%S}@quorum.invalid>"


def message(report: Report, *, desk: str, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The mail; its HTML shows pictures by content id. ValueError for what is no address or has control characters."""
    mail = EmailMessage(policy=SMTP.clone(max_line_length=LINE_CHARACTERS))
    for address in (sender, *recipients):
        if any(ord(c) < 32 for c in address) or "@" not in parseaddr(address)[1]:
            raise ValueError(f"{address!r} is no mail address")
    mail["Subject"] = report.subject
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Date"] = format_datetime(report.generated_at)
    mail["Message-ID"] = message_id(desk, report)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(report.text)
    mail.add_alternative(report.html, subtype="html")
    page = mail.get_body(("html",))
    assert page is not None, "the part that was added above"
    for name, picture in report.images.items():
        page.add_related(picture, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")
    return mail
