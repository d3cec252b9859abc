"""A past to begin with: a new desk replays the bars before its first decision through the same shadow books, and starts
with what that teaches, discounted. It is computed once, and kept."""

from __future__ import annotations

import logging
from datetime import datetime

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.adapters.database.meta_store import MetaStore
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.settings import Settings
from agents.tuning.desk_beliefs import is_readable
from agents.wiring.history import History, ReplayRequest
from agents.wiring.replay import past_of

logger = logging.getLogger(__name__)


def remember_past(settings: Settings, store: MetaStore, history: DeskHistory, bars: BarsStore, at: datetime) -> None:
    """Keep what the time before the desk's first decision teaches, as its bars were known then, where that is not kept
    yet, or was kept by a filter that remembered other things. Nothing happens before the first decision; where an agent
    fails, the next job tries again."""
    wanted = settings.tuning.method == "adaptive" and settings.tuning.history_trust > 0.0
    kept = store.kept_beliefs("past") if wanted else None
    span = history.span() if wanted and (kept is None or not is_readable(kept)) else None
    if span is None:
        return
    symbols = history.symbols()
    source = bars.narrowed(symbols).as_of(span.first_version)
    if not len(source.window(until=span.first, count=1).time):
        return  # a record that was made from elsewhere: its first decision read no bar of this database
    own = History(source=source, symbols=symbols, total_bars=span.decisions, start=span.first)
    try:
        past = past_of(own, ReplayRequest(settings=settings))
    except AgentsError as error:
        log_event(logger, "the past teaches nothing yet", level=logging.WARNING, problem=str(error))
        return
    store.keep_beliefs("past", past, at)
    log_event(logger, "beliefs begin with a replay of the past", days=past.days, until=span.first)
