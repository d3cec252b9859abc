"""`quorum web`: the dashboard, served until it is told to stop."""

from __future__ import annotations

from argparse import Namespace

from agents.cli.extras import WEB, require
from agents.cli.screen import Screen
from agents.core.log import configure_logging
from agents.core.settings import load_settings, secrets_dir
from agents.core.stopping import end_now


def web(options: Namespace, screen: Screen) -> int:
    """Pages of the desk, or of its demo, at an address that is printed."""
    require(WEB)
    # Here: they need what is installed at first use, and load what draws.
    from agents.web.access import token_in
    from agents.web.server import address_of, listening, serve
    from agents.wiring.dashboard import desk_view

    settings = load_settings(options.settings)
    chosen = settings.web.model_copy(update={"port": options.port or settings.web.port})
    configure_logging(settings.log_folder / "web.log", level=settings.log_level, console=False)
    with listening(chosen) as place:
        token, file = token_in(secrets_dir(settings.state_dir))
        view = desk_view(settings, demo=options.demo, say=screen.say)
        try:
            address = address_of(chosen)
            named = settings.desk.name
            shown = "the demo" if options.demo else "the desk" if named == "desk" else f"desk {named}"
            screen.result(
                {"address": address, "token_file": str(file)},
                f"{address}  shows {shown}",
                f"log in with the token in {file}",
                "Ctrl-C ends it",
            )
            serve(view, chosen, token, place)
        finally:
            view.close()
    end_now()
    return 0
