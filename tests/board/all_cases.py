"""Every row of the board, gathered."""

from tests.board import cache, crash, database, files, hang
from tests.board.cases import CASES

__all__ = ["CASES", "cache", "crash", "database", "files", "hang"]
