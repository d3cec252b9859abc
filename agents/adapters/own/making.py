"""A place in the settings -> the agent there, whichever way it is written. Making one runs a user's code."""

from __future__ import annotations

import sys
from pathlib import Path

from agents.core.agent_code import checked_agent, make_agent, module_of_file
from agents.core.errors import DataError
from agents.core.own_strategies import Kind, name_of, strategy_of
from agents.core.ports import Agent

PACKAGES = {"talib": "TA-Lib", "pandas_ta": "pandas-ta", "sklearn": "scikit-learn", "technical": "technical"}
"""Modules that strategies import, by the package that brings them where the names differ."""


def make_own(place: str) -> Agent:
    """The agent at `FILE.py:CLASS`, `module:CLASS` or `FILE`. Raises whatever the code raises; DataError where it
    needs a package that is not installed, or the file is no strategy."""
    if ":" in place:
        return make_agent(place)
    file = Path(place)
    strategy = strategy_of(file)
    if strategy.kind is Kind.RETURNS:
        raise DataError(f"{file}: is a table of daily returns, which gets an advised weight and is no agent")
    if strategy.kind is Kind.SIGNALS:
        from agents.adapters.own.signals_agent import SignalsAgent  # here and below: pandas, where it is needed

        return SignalsAgent(name_of(file), file)
    sys.path.append(str(file.absolute().parent))  # its own helpers stand beside it
    try:
        return _made(file, strategy.kind, strategy.class_name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        package = PACKAGES.get(missing, missing)
        raise DataError(f"{file}: needs the package {package}, which is not installed: pip install {package}") from None


def _made(file: Path, kind: Kind, class_name: str) -> Agent:
    if kind is Kind.AGENT:
        return checked_agent(getattr(module_of_file(str(file)), class_name)(), class_name)
    if kind is Kind.FREQTRADE:
        from agents.adapters.own.freqtrade_agent import FreqtradeAgent

        return FreqtradeAgent(name_of(file), file, class_name)
    if kind is Kind.ENTRIES:
        from agents.adapters.own.entries_agent import EntriesAgent

        return EntriesAgent(name_of(file), module_of_file(str(file)))
    from agents.adapters.own.function_agent import FunctionAgent

    return FunctionAgent(name_of(file), module_of_file(str(file)))
