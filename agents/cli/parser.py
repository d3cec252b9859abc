"""The parser of a command line: all commands with their purposes, and the arguments of the one that is named."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agents import __version__
from agents.cli.commands import COMMANDS, GROUPS, Command

MISUSE = 2
"""The exit status where a command line cannot be understood."""
NAME_CHARACTERS = max(len(name) for name in COMMANDS)
EXAMPLES = (
    "quorum demo",
    "quorum status --demo",
    "quorum why AAPL --at 2008-10-10 --demo",
    "quorum replay --demo --set tuning.step=0.10 --out replay/",
    "quorum COMMAND --help",
)


class Parser(argparse.ArgumentParser):
    """argparse's, but a mistake is one line that says where help is."""

    def error(self, message: str) -> NoReturn:
        """End with the message."""
        self.exit(MISUSE, f"{self.prog}: {message}; see: {self.prog} --help\n")


class Overview(Parser):
    """The parser above the commands; its help lists them by what they are for."""

    def format_help(self) -> str:
        """The page of `quorum --help`."""
        lines = ["usage: quorum COMMAND [OPTIONS]", "", "A self-tuning trading desk.", ""]
        for heading, commands in GROUPS.items():
            lines += [f"{heading}:", *(f"  {c.name:<{NAME_CHARACTERS}}  {c.purpose}" for c in commands), ""]
        options = {"-h, --help": "show this page", "--version": "show the version"}
        lines += ["options:", *(f"  {name:<{NAME_CHARACTERS}}  {text}" for name, text in options.items()), ""]
        return "\n".join([*lines, "examples:", *(f"  {example}" for example in EXAMPLES), ""])


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """Knows every command, and the arguments of the one among `words`."""
    parser = Overview(prog="quorum")
    parser.add_argument("--version", action="version", version=f"quorum {__version__}")
    parsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    named = _command_word(words)
    for command in COMMANDS.values():
        own = parsers.add_parser(
            command.name,
            help=command.purpose,
            description=_description(command),
            epilog=_examples(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.name == named:
            command.add_arguments(own)
            _add_common(own)
            own.set_defaults(command=command, parser=own)
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, its `command` among them; ends the process where it cannot be understood."""
    parser = parser_for(words)
    name = _command_word(words)
    if name is not None and name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS)
        hint = f"did you mean {' or '.join(near)}? All commands" if near else "all commands"
        parser.exit(MISUSE, f"quorum: there is no command '{name}'; {hint}: quorum --help\n")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        _refuse(options.parser, unknown[0])
    return options


def _command_word(words: Sequence[str]) -> str | None:
    """The first word that is no option: what should be a command's name."""
    return next((word for word in words if not word.startswith("-")), None)


def _add_common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for every command")
    group.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    group.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: quorum.toml)")


def _description(command: Command) -> str:
    sentence = command.purpose[0].upper() + command.purpose[1:]
    return sentence if sentence.endswith("?") else f"{sentence}."


def _examples(command: Command) -> str:
    title = "examples" if len(command.examples) > 1 else "example"
    return "\n".join([f"{title}:", *(f"  {example}" for example in command.examples), command.more])


def _refuse(parser: argparse.ArgumentParser, word: str) -> NoReturn:
    """One line about a word that a command does not know."""
    known = [option for action in parser._actions for option in action.option_strings]
    if word in known:
        parser.error(f"'{word}' comes after the command: {parser.prog} {word}")
    near = difflib.get_close_matches(word, known, n=1)
    parser.error(f"unknown argument '{word}'" + (f" (did you mean {near[0]}?)" if near else ""))
