"""Names in the settings that name nothing: told before a desk is shown, checked or started."""

from __future__ import annotations

from agents.adapters.files.bar_files import ALIASES
from agents.core.errors import SettingsError
from agents.core.profiles import OURS
from agents.core.settings import Settings
from agents.trading.names import chosen_names, refuse_weights_of_nobody


def refuse_typos(settings: Settings) -> None:
    """SettingsError for an agent that does not exist, and for a column that no bar has."""
    chosen = settings.agents
    names = chosen_names(OURS, chosen.enabled, chosen.own, chosen.shadow)
    refuse_weights_of_nobody(chosen.static_weights, names)
    for column in sorted(set(settings.data.columns) - set(ALIASES)):
        raise SettingsError(f"data.columns: no column is named '{column}'; known are {', '.join(ALIASES)}")
