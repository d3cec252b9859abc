"""How a job is run: in this process, or in one of its own that is killed at its deadline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.core.errors import AgentsError
from agents.core.meta_types import ScheduledJob
from agents.wiring.job_words import headline
from agents.wiring.meta import MetaPlane

OUTPUT_LIMIT_BYTES = 4_000_000


class JobError(AgentsError):
    """A job ended badly or not in time."""


def in_this_process(plane: MetaPlane) -> Callable[[ScheduledJob, datetime], str]:
    """Runs a job in this process."""

    def run(job: ScheduledJob, due_at: datetime) -> str:
        return headline(job.name, plane.run_job(job.name, None, due_at))

    return run


class OwnProcess:
    """Runs a job in a process of its own, which is ended with all its children at the job's deadline, or by `stop`."""

    def __init__(self, settings_file: Path | None) -> None:
        self._settings_file = settings_file
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def __call__(self, job: ScheduledJob, due_at: datetime) -> str:
        """JobError where it ended badly, not in time, or because the daemon stops."""
        command = [sys.executable, "-m", "agents", "job", job.name, "--due-at", due_at.isoformat(), "--json"]
        command += ["--settings", str(self._settings_file)] if self._settings_file else []
        return headline(job.name, self.run(command, job))

    def stop(self) -> None:
        """End the job that runs, now; its run counts as failed, and the next start makes up for it."""
        self._stopping = True
        if self._child is not None:
            _end(self._child)

    def run(self, command: Sequence[str], job: ScheduledJob) -> dict[str, Any]:
        """Any command that prints one JSON object, with the job's deadline and name."""
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._child = process
        if self._stopping:  # told to between the two
            _end(process)
        try:
            out, err = process.communicate(timeout=job.deadline_s)
        except subprocess.TimeoutExpired:
            _end(process)
            process.communicate()
            raise JobError(f"{job.name} was ended after its deadline of {job.deadline_s:g} s") from None
        finally:
            self._child = None
        if self._stopping:
            raise JobError(f"{job.name} was ended, since the daemon stops")
        if process.returncode != 0:
            said = err.decode(errors="replace").strip().split("\n")[-1].removeprefix("quorum: ")
            raise JobError(said or f"{job.name} ended with status {process.returncode}")
        if len(out) > OUTPUT_LIMIT_BYTES:
            raise JobError(f"{job.name} said {len(out)} bytes")
        outcome = json.loads(out)
        assert isinstance(outcome, dict)
        return outcome


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all its children, whose group it leads; none of them is left where the leader is not reaped yet."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
