"""What can go wrong in the world around the desk: one line each, with what to do. Expected refusals are values."""

from __future__ import annotations


class AgentsError(Exception):
    """Base of all errors that a user may see; `str(error)` is one clear line that names the thing and the remedy."""

    exit_code = 1


class SettingsError(AgentsError):
    """A settings file or environment key is unknown or has a wrong value."""

    exit_code = 2


class UsageError(AgentsError):
    """A command was asked for something that does not exist: a time, a symbol, a file."""

    exit_code = 2


class DataError(AgentsError):
    """A file of bars as a whole cannot be trusted; nothing of it was loaded."""


class ServiceError(AgentsError):
    """PostgreSQL, TimescaleDB or Redis is missing, unreachable or unfit."""


class SilentServiceError(ServiceError):
    """A server is there, and does not answer: it stands still, or has far too much to do."""


class JournalError(AgentsError):
    """The record of decisions contradicts itself; trading must not go on."""


class DeskBusyError(AgentsError):
    """Another process already trades this desk."""


class InvalidWeightsError(AgentsError):
    """A weight set that was read from a cache, a table or the settings is not usable."""
