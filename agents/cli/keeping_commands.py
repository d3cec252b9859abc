"""The part of the table of commands that keeps a machine: desks, services, records, backups."""

from __future__ import annotations

from agents.cli import arguments, desk_actions
from agents.cli.command import Command

WHERE_COMPLETION_GOES = """
for good, put the script where the shell looks for it:
  bash  ~/.local/share/bash-completion/completions/quorum
        (read by the package bash-completion)
  zsh   ~/.zfunc/_quorum, and in ~/.zshrc:
        fpath+=~/.zfunc; autoload -Uz compinit; compinit
  fish  ~/.config/fish/completions/quorum.fish
"""
KEEPING = (
    Command(
        "reset",
        "reset",
        "forget all decisions and start anew; a backup is kept",
        arguments.reset,
        ("quorum reset", "quorum reset --data --yes"),
    ),
    Command(
        "services",
        "services",
        "start, stop, show or keep up the embedded PostgreSQL and Redis",
        arguments.services,
        ("quorum services status", "quorum services run"),
    ),
    Command(
        "desk",
        "desk",
        "several desks on one machine, each by itself",
        desk_actions.DESK[0].add_arguments,
        ("quorum desk", "quorum desk new btc --profile crypto-spot"),
        actions=desk_actions.DESK,
    ),
    Command(
        "doctor",
        "doctor",
        "check this machine; each line says ok or what to do",
        arguments.no_arguments,
        ("quorum doctor", "quorum doctor --json"),
    ),
    Command(
        "failed",
        "failed",
        "tell that a systemd unit has failed, by mail where configured",
        arguments.failed,
        ("quorum failed quorum-trading.service",),
    ),
    Command(
        "verify",
        "integrity",
        "check that nothing on record was changed, and name what was",
        arguments.verify,
        ("quorum verify", "quorum verify --accept 'quantity mended by hand after a broken import'"),
    ),
    Command(
        "backup",
        "backup",
        "write the desk's database to a file, while it trades",
        arguments.backup,
        ("quorum backup", "quorum backup /mnt/usb/quorum.dump --json"),
    ),
    Command(
        "restore",
        "backup",
        "make the desk's database from a backup",
        arguments.restore,
        ("quorum restore quorum-20260102-220000.dump", "quorum restore quorum.dump --replace"),
    ),
    Command(
        "completion",
        "completion",
        "print the script that completes commands in your shell",
        arguments.completion,
        ("source <(quorum completion bash)", "quorum completion fish | source"),
        WHERE_COMPLETION_GOES,
    ),
)
