"""What an answer to an order proves, where it is not that the order was accepted."""

from __future__ import annotations

from agents.core.errors import ServiceError


class OrderRefusedError(ServiceError):
    """The exchange says that it did not take the order, and why."""


class OrderFormError(OrderRefusedError):
    """It did not take it for its form: steps, least amounts, a market that is closed. These may have changed."""


class OrderLimitedError(OrderRefusedError):
    """It asks to be left alone for a while, and has not looked at the order."""


class OrderUnknownError(ServiceError):
    """Nobody knows whether the exchange took the order."""
