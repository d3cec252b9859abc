"""Every row of the board, gathered."""

from tests.board import answered, cache, crash, database, exchange, files, hang, own_server
from tests.board.cases import CASES

__all__ = ["CASES", "answered", "cache", "crash", "database", "exchange", "files", "hang", "own_server"]
