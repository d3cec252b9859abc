"""The parser of a command line: all commands with their purposes, and the arguments of the one that is named."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agents import __version__
from agents.cli.actions import Action
from agents.cli.command import Command
from agents.cli.commands import COMMANDS, GROUPS
from agents.cli.options import completed_by, desk_file, desk_names

MISUSE = 2
"""The exit status where a command line cannot be understood."""
SETTINGS_OPTIONS = ("--settings", "--desk")
"""What takes the name of settings behind it, on every command."""
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
        action = _action_among(command, words) if command.name == named else None
        shown = action or command
        own = parsers.add_parser(
            command.name,
            prog=f"quorum {command.name}" + (f" {action.name}" if action else ""),
            help=command.purpose,
            description=_description(shown.purpose, command.actions if action is None else ()),
            epilog=_examples(shown.examples, command.more),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.name == named:
            _add_action(own, command, action)
            shown.add_arguments(own)
            _add_common(own)
            own.set_defaults(command=command, parser=own)
    return parser


def _action_among(command: Command, words: Sequence[str]) -> Action | None:
    """The action that a command line names: a word behind the command that is one, and no option's value."""
    behind = words[list(words).index(command.name) + 1 :]
    actions = {action.name: action for action in command.actions}
    pairs = zip(("", *behind), behind, strict=False)
    return next((actions[word] for before, word in pairs if word in actions and before not in SETTINGS_OPTIONS), None)


def _add_action(parser: argparse.ArgumentParser, command: Command, action: Action | None) -> None:
    """The word for what a command with several actions does."""
    if action is not None:
        parser.add_argument("action", choices=(action.name,), metavar=action.name, help=argparse.SUPPRESS)
    elif command.actions:
        names = [each.name for each in command.actions]
        text = f"one of the above (default: {names[0]})"
        parser.add_argument("action", nargs="?", choices=names, default=names[0], metavar="ACTION", help=text)


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
    which = group.add_mutually_exclusive_group()
    which.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: quorum.toml)")
    text = "another desk of this machine: the settings file desks/NAME.toml"
    named = which.add_argument("--desk", dest="settings", type=desk_file, metavar="NAME", help=text)
    completed_by(named, desk_names)


def _description(purpose: str, actions: Sequence[Action]) -> str:
    sentence = purpose[0].upper() + purpose[1:]
    lines = [sentence if sentence.endswith("?") else f"{sentence}."]
    if actions:
        lines += ["", "actions (each has its own help):"]
        lines += [f"  {action.name:<{NAME_CHARACTERS}}  {action.purpose}" for action in actions]
    return "\n".join(lines)


def _examples(examples: Sequence[str], more: str) -> str:
    title = "examples" if len(examples) > 1 else "example"
    return "\n".join([f"{title}:", *(f"  {example}" for example in examples), more])


def _refuse(parser: argparse.ArgumentParser, word: str) -> NoReturn:
    """One line about a word that a command does not know."""
    known = [option for action in parser._actions for option in action.option_strings]
    if word in known:
        parser.error(f"'{word}' comes after the command: {parser.prog} {word}")
    near = difflib.get_close_matches(word, known, n=1)
    parser.error(f"unknown argument '{word}'" + (f" (did you mean {near[0]}?)" if near else ""))
