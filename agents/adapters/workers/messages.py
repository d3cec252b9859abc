"""What the desk and a worker say to each other: short messages of fixed form; arrays and words lie in shared blocks."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from agents.core.asking import TEXT_CHARACTERS

MESSAGE_BYTES = 4096
"""The longest message that is read; a longer one is cut and then has no meaning."""
REASON_BYTES = 4 * TEXT_CHARACTERS + 1
"""Room for one reason and its line feed."""
_ORDER = struct.Struct("<BBIQQQQ")
_REPLY = struct.Struct("<BIqd")


class Kind(IntEnum):
    """What is asked for."""

    NEWEST = 1
    """Opinions on the newest bar, with reasons."""
    WHOLE = 2
    """Opinions on every bar."""
    REASONS = 3
    """The reasons of some rows of the last answer."""


class Order(NamedTuple):
    """From the desk: rows `first` to `stop` (exclusive) of the panel, or of the last answer. Blocks that are new come
    with the message as descriptors, the panel's first."""

    kind: Kind
    number: int
    first: int
    stop: int
    panel_bytes: int = 0
    answer_bytes: int = 0

    def packed(self) -> bytes:
        """As a message."""
        return _ORDER.pack(self.kind, 0, *self[1:])


def order_of(message: bytes) -> Order:
    """The order in a message of ours."""
    kind, _, *rest = _ORDER.unpack(message)
    return Order(Kind(kind), *rest)


class Status(IntEnum):
    """What a worker says."""

    READY = 1
    """The agent is made; `size` bars are its memory."""
    ANSWERED = 2
    """The block holds the answer; `size` bytes of words."""
    FAILED = 3
    """The agent could not be made, raised, or answered wrongly; `text` says how."""


class Reply(NamedTuple):
    """From a worker."""

    status: Status
    number: int
    size: int
    spent_ms: float
    text: str = ""

    def packed(self) -> bytes:
        """As a message."""
        return _REPLY.pack(*self[:4]) + self.text.encode(errors="replace")


def reply_of(message: bytes) -> Reply | None:
    """The reply in a worker's message, None where it is none."""
    try:
        status, number, size, spent_ms = _REPLY.unpack_from(message)
        return Reply(Status(status), number, size, spent_ms, message[_REPLY.size :].decode(errors="replace"))
    except (struct.error, ValueError):
        return None
