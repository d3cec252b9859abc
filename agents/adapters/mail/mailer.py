"""SMTP by aiosmtplib: TLS always, certificates checked, one deadline for the whole conversation."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Sequence
from pathlib import Path

import aiosmtplib

from agents.core.errors import SettingsError
from agents.core.meta_ports import Delivery
from agents.core.meta_types import MailSettings

TOTAL_TIMEOUT_S = 45.0
STEP_TIMEOUT_S = 15.0
REFUSAL_CHARACTERS = 200
CLOSING_S = 0.05
"""An event loop closes its sockets in its next turns; it is given so long for them."""


class SmtpMailer:
    """Sends a finished message. `authority` is a file with the certificate authority of a private server."""

    def __init__(self, authority: Path | None = None, *, total_timeout_s: float = TOTAL_TIMEOUT_S) -> None:
        self._authority = authority
        self._total_timeout_s = total_timeout_s

    def send(self, settings: MailSettings, message: bytes, recipients: Sequence[str]) -> Delivery:
        return self._attempt(settings, message, recipients)

    def check(self, settings: MailSettings) -> str:
        """Connect, secure the line and log in, without sending; "" where that works, else why not."""
        return self._attempt(settings, None, ()).problem

    def _attempt(self, settings: MailSettings, message: bytes | None, recipients: Sequence[str]) -> Delivery:
        try:
            refused = asyncio.run(self._bounded(settings, message, recipients))
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = {e.recipient: _refusal(e.code, e.message) for e in error.recipients}
            return Delivery(Delivery(refused=refused).complaint, refused)
        except TimeoutError:
            return Delivery(f"{settings.server}: no end within {self._total_timeout_s:g} s")
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, SettingsError, ValueError) as error:
            return Delivery(_plain(settings, error))
        return Delivery(refused=refused)

    async def _bounded(
        self, settings: MailSettings, message: bytes | None, recipients: Sequence[str]
    ) -> dict[str, str]:
        try:
            return await asyncio.wait_for(self._converse(settings, message, recipients), self._total_timeout_s)
        finally:
            await asyncio.sleep(CLOSING_S)

    async def _converse(
        self, settings: MailSettings, message: bytes | None, recipients: Sequence[str]
    ) -> dict[str, str]:
        """The recipients that the server refused while it took the message for others."""
        context = ssl.create_default_context(cafile=str(self._authority) if self._authority else None)
        client = aiosmtplib.SMTP(
            hostname=settings.server,
            port=settings.port,
            timeout=STEP_TIMEOUT_S,
            tls_context=context,
            validate_certs=True,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
        )
        await client.connect()
        try:
            if settings.account:
                await client.login(settings.account, read_secret(settings))
            if message is None:
                return {}
            errors, _ = await client.sendmail(settings.sender, list(recipients), message)
            return {address: _refusal(answer.code, answer.message) for address, answer in errors.items()}
        finally:
            transport = client.transport
            client.close()
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()  # a server that does not say goodbye must not keep the socket


def read_secret(settings: MailSettings) -> str:
    """The password from its file; SettingsError where it is missing or others could read it."""
    if not settings.secret_file:
        raise SettingsError("no password file is configured; run scripts/configure_email.py")
    path = Path(settings.secret_file)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError(f"{path} can be read by others; run: chmod 600 {path}")
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise SettingsError(
            f"{path}: the mail password cannot be read ({error.strerror}); run scripts/configure_email.py"
        ) from None


def _refusal(code: int, answer: str) -> str:
    """A server's words about one recipient, in one line."""
    return f"refused: {code} {answer}".split("\n")[0][:REFUSAL_CHARACTERS]


def _plain(settings: MailSettings, error: Exception) -> str:
    """One line without secrets, which servers may repeat in their answers."""
    code = f"{error.code} " if isinstance(error, aiosmtplib.SMTPResponseException) else ""
    reason = str(getattr(error, "message", "") or error).split("\n")[0][:200]
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        reason = "the server refuses account or password"
    return f"{settings.server}:{settings.port}: {type(error).__name__}: {code}{reason}"
