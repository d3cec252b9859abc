"""`quorum halt --flatten --offline`: out of every position by a file, without the database."""

from __future__ import annotations

from argparse import Namespace

from rich.text import Text

from agents.adapters.services.exit_letter import ExitLetterFile
from agents.adapters.services.spool_file import SpoolFile
from agents.cli.screen import Screen
from agents.cli.trading_arguments import reason_of
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError, UsageError
from agents.core.exits import Exit, ExitBook, ExitWord, book_of
from agents.core.settings import Settings, load_settings
from agents.wiring.connections import desk_database
from agents.wiring.desk_record import exit_files

CLOCK = SystemClock()
NOT_ON_RECORD = "what left while the database was away is not on record yet"
WAIT_S, LOOK_S = 20.0, 0.2
"""A running daemon takes a word within a second, tries the database for some, and sends."""


def flatten_offline(options: Namespace, screen: Screen) -> int:
    """Leave the word, and tell what the desk's daemon makes of it."""
    reason = reason_of(options)
    if options.how != "flatten":
        raise UsageError("--offline goes with --flatten; without the database nothing else is obeyed but halt --kill")
    settings = load_settings(options.settings)
    if not settings.desk.venue:
        raise UsageError(
            "this desk trades on paper, and its positions are in the database: none can be closed while that is away;"
            " quorum halt --flatten when it is back, or quorum halt --kill now"
        )
    letter, spool = exit_files(settings, desk_database(settings))
    word = ExitWord(CLOCK.now(), reason, settings.desk.name)
    letter.write(word)
    book = _wait(letter, spool, word, screen)
    document, lines = _told(settings, letter, book, waits=letter.read() == word)
    screen.result({"reason": reason, "file": str(letter.path), **document}, *map(Text, lines))
    return 0


def require_exits_on_record(settings: Settings) -> None:
    """UsageError while a word to close every position waits, or what it led to is not on record: a resume would come
    before the halt that it is to end."""
    letter, spool = exit_files(settings, desk_database(settings))
    for file, what in ((letter.path, "a word to close every position waits"), (spool.path, NOT_ON_RECORD)):
        if file.exists():
            raise UsageError(f"{what} ({file}): start the desk, which takes it in, or put the file elsewhere")


def without_database(settings: Settings) -> str:
    """What a person can do meanwhile."""
    if settings.desk.venue:
        return "without the database: quorum halt --flatten --offline, or quorum halt --kill"
    return "without the database: quorum halt --kill"


def exit_lines(settings: Settings) -> list[str]:
    """What waits to be obeyed or put on record, in words; none where nothing does."""
    letter, spool = exit_files(settings, desk_database(settings))
    waits = [f"A word to close every position waits for the desk's daemon ({letter.path})"]
    left = [f"{NOT_ON_RECORD.capitalize()}: start the desk ({spool.path})"]
    return [*(waits if letter.path.exists() else []), *(left if spool.there else [])]


def _wait(letter: ExitLetterFile, spool: SpoolFile, word: ExitWord, screen: Screen) -> ExitBook | None:
    """Until it is known what came of the word, or for so long; None where the spool has not got it."""
    screen.say(f"{letter.path} is there; waiting for the desk's daemon")
    ends_s = CLOCK.monotonic_s() + WAIT_S
    while True:
        taken = letter.read() != word
        book = _book_with(spool, word)
        if CLOCK.monotonic_s() > ends_s or (taken and (book is None or book.settled)):
            return book
        CLOCK.sleep_s(LOOK_S)


def _book_with(spool: SpoolFile, word: ExitWord) -> ExitBook | None:
    """The spool that has the word: one that waits, or was put aside by now."""
    aside = sorted(spool.path.parent.glob(f"{spool.path.stem}-2*{spool.path.suffix}"))
    for path in (spool.path, *aside[-1:]):
        try:
            book = book_of(SpoolFile(path).facts())
        except AgentsError:
            continue
        if book is not None and word in book.words:
            return book
    return None


def _told(
    settings: Settings, letter: ExitLetterFile, book: ExitBook | None, *, waits: bool
) -> tuple[dict[str, object], list[str]]:
    if waits:
        words = (
            f"no daemon of the desk {settings.desk.name} has taken it within {WAIT_S:.0f} s, so nothing is closed yet;"
            f" it waits for one that knows the desk; remove {letter.path} to call it off"
        )
        return {"state": "waits", "exits": []}, [words]
    if book is None:
        words = "the database answers, so it is an ordinary quorum halt --flatten: orders leave with the next decision"
        return {"state": "on record", "exits": []}, [words]
    exits = [exit_ for exit_ in book.exits if exit_.word == len(book.words)]
    state = "settled" if book.settled else "under way"
    document: dict[str, object] = {"state": state, "exits": [_row(exit_) for exit_ in exits]}
    lines = [f"{e.order.side} {e.order.quantity:f} {e.order.symbol}: {_state_words(e)}" for e in exits]
    done = book.said if book.settled else "not done yet; the daemon goes on, see its log"
    return document, [*lines, done]


def _row(exit_: Exit) -> dict[str, str]:
    order = exit_.order
    return {
        "symbol": order.symbol,
        "side": order.side,
        "quantity": f"{order.quantity:f}",
        "client_order_id": order.client_order_id,
        "state": exit_.state,
        "reason": exit_.reason,
    }


def _state_words(exit_: Exit) -> str:
    words = {"acked": "accepted", "sending": "being sent", "intent": "about to be sent", "unknown": "no answer yet"}
    shown = words.get(exit_.state, exit_.state.replace("_", " "))
    return f"{shown} ({exit_.reason})" if exit_.reason and exit_.state in ("rejected", "not_placed") else shown
