"""Which agents there are, by name: for commands that must not start the compiler to know it."""

from __future__ import annotations

from collections.abc import Iterable

from agents.core.errors import SettingsError


def chosen_names(
    registered: Iterable[str], enabled: Iterable[str], own: Iterable[str], shadow: Iterable[str] = ()
) -> tuple[str, ...]:
    """The names of the agents that a desk asks, those that trade (none enabled: all but the shadows) and those in
    `shadow`: the registered ones in their order, then the user's `own` by name; SettingsError for a name that is
    unknown, or that both have, or where nobody is left to trade."""
    table, shadows = tuple(registered), set(shadow)
    known = (*table, *sorted(own))
    wanted = set(enabled) or set(known) - shadows
    for name in sorted(set(own) & set(table)):
        raise SettingsError(f"agents.own.{name}: an agent that comes with Quorum has this name; choose another")
    for name in sorted(wanted - set(known)):
        raise SettingsError(f"agents.enabled: no agent is named '{name}'; known are {', '.join(known)}")
    for name in sorted(shadows - set(known)):
        raise SettingsError(f"agents.shadow: no agent is named '{name}'; known are {', '.join(known)}")
    if not wanted:
        raise SettingsError("agents.shadow: all agents are in it, and nobody is left to trade; take one out")
    return tuple(name for name in known if name in wanted | shadows)


def refuse_weights_of_nobody(static_weights: Iterable[str], names: Iterable[str]) -> None:
    """SettingsError for a weight in the settings of an agent that is not among the desk's `names`."""
    known = sorted(names)
    for name in sorted(set(static_weights) - set(known)):
        raise SettingsError(f"agents.static_weights: '{name}' is not among the desk's agents {', '.join(known)}")
