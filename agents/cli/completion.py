"""Completion in the shell: what may come next on a command line, and the script that makes a shell ask."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

from agents.cli.parser import parser_for

if TYPE_CHECKING:
    from agents.cli.screen import Screen


class CommandLineFinder(CompletionFinder):
    """argcomplete's, with the parser for the words on the line."""

    def _get_completions(self, comp_words: list[str], *rest: object) -> list[str]:
        self._parser = parser_for(comp_words[1:])
        words: list[str] = super()._get_completions(comp_words, *rest)  # type: ignore[no-untyped-call]  # argcomplete
        return words


def answer_shell() -> None:
    """Where a shell asks what may come next, print that and end this process; else do nothing."""
    CommandLineFinder()(parser_for([]), always_complete_options="long")


def completion(options: Namespace, screen: Screen) -> int:
    """`quorum completion`: the script for the user's shell, or for its start-up file."""
    script = shellcode(["quorum"], shell=options.shell, use_defaults=False, argcomplete_script=_to_ask(options.shell))
    screen.result({"shell": options.shell, "script": script}, script.strip())
    return 0


def _to_ask(shell: str) -> str | None:
    """The program that the script asks: None means the one on the command line, which fish does not tell."""
    typed = Path(sys.argv[0])
    asked_by_path = shell == "fish" and typed.name == "quorum" and shutil.which("quorum") is None
    return str(typed.absolute()) if asked_by_path else None
