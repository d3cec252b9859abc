"""The dead man's ping: a GET to the user's address while all is well. A service there complains when none comes."""

from __future__ import annotations

import http.client
import threading
from urllib.parse import urlsplit

DEADLINE_S = 5.0
YES, REDIRECT = 200, 300


class Pinger:
    """Asks for one URL. Its path is often a secret, so only the host is ever named. One request at a time."""

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._parts = urlsplit(url)
        self._deadline_s = deadline_s
        self._thread: threading.Thread | None = None

    def ping(self) -> str:
        """ "" where the server said yes within the deadline, else why not, in one line. A redirect is not followed."""
        if self._thread is not None and self._thread.is_alive():
            return f"{self._parts.hostname}: the last request has no answer yet"
        answers: list[str] = []
        self._thread = threading.Thread(target=lambda: answers.append(self._get()), daemon=True)
        self._thread.start()
        self._thread.join(self._deadline_s)  # of the whole request: a timeout of a socket begins anew with each byte
        return answers[0] if answers else f"{self._parts.hostname}: no answer within {self._deadline_s:g} s"

    def _get(self) -> str:
        parts = self._parts
        made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = made(str(parts.hostname), parts.port, timeout=self._deadline_s)
            try:
                connection.request("GET", path, headers={"User-Agent": "quorum"})
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{parts.hostname}: {type(error).__name__}"
        return "" if YES <= status < REDIRECT else f"{parts.hostname}: status {status}"
