"""Every row of the board, gathered."""

from tests.board import crash, database, hang
from tests.board.cases import CASES

__all__ = ["CASES", "crash", "database", "hang"]
