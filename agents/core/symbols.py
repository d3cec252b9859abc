"""What a symbol may look like, wherever one comes from: rows and names of files, settings, the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9_./^:@=-]{0,31}$"
"""Letters, digits and the marks that exchanges and vendors use: BRK.B, BTC/USDT, BTC-PERP, BINANCE:BTCUSDT, ^GSPC,
EURUSD=X, BTC/USD@kraken. None of them means anything in SQL, HTML, JSON, a Redis key, a shell or a list with commas;
none but ^ comes first, so that no spreadsheet takes a symbol for a formula and no program for an option."""
EVERY_SYMBOL = "*"
"""Stands for every symbol in a series that is about the whole market."""
UNSAID = "cash"
"""The currency of symbols that name none."""
_SYMBOL = re.compile(SYMBOL_PATTERN.removesuffix("$"))


def is_symbol(text: str) -> bool:
    """Whether a text can be a symbol."""
    return _SYMBOL.fullmatch(text) is not None


def require_symbol(text: str, where: str) -> str:
    """`text`; ValueError, which names where it stands, unless it can be a symbol."""
    if not is_symbol(text):
        raise ValueError(
            f"{where}: {text!r} is no symbol; one has up to 32 letters, digits and . _ / ^ : @ = - in it, and"
            " begins with a letter, a digit or ^, such as AAPL or BTC/USDT"
        )
    return text


def base_of(symbol: str) -> str:
    """What a position of it is held in: BTC of BTC/USDT, a stock itself."""
    return symbol.partition("/")[0]


def quote_of(symbol: str) -> str:
    """The currency that it is paid in: USDT of BTC/USDT and of BTC/USDT:USDT; a stock's is dollars, as of all that a
    broker here sells."""
    return symbol.partition("/")[2].partition(":")[0] or "USD"


def is_perpetual(symbol: str) -> bool:
    """Whether it is a perpetual future, as ccxt names them: BTC/USDT:USDT, settled in what follows the colon."""
    return ":" in symbol.partition("/")[2]


def desk_symbol(text: str, aliases: Mapping[str, str]) -> str:
    """The desk's name of what a file calls `text` (data.aliases: a file's name -> ours)."""
    return aliases.get(text, text)


def currency_of(symbols: Iterable[str]) -> str:
    """The one currency that these are priced in, by the pairs among them; `UNSAID` where none says it. ValueError where
    they say several: a desk's money, its limits and its returns are in one."""
    quotes: dict[str, str] = {}
    for symbol in symbols:
        _, slash, quote = symbol.partition("/")
        if slash:
            quotes.setdefault(quote.partition("@")[0].partition(":")[0], symbol)
    if len(quotes) > 1:
        (one, first), (other, second), *_ = quotes.items()
        raise ValueError(
            f"{first} is priced in {one} and {second} in {other}; a desk has one currency: take one of them out of its"
            " symbols, or make a desk of its own for it (quorum desk new NAME)"
        )
    return next(iter(quotes), UNSAID)
