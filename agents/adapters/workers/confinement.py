"""What a worker may not do, enforced by the kernel: outlive its parent, eat memory or descriptors, change files, start
programs or processes, open sockets, or touch other processes.

Linux only, and without any right: resource limits, PR_SET_PDEATHSIG, Landlock where the kernel has it, and a seccomp
filter on the machines that are named below; where one of the last two is missing, it is left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
from collections.abc import Iterable
from typing import NamedTuple

DESCRIPTORS = 64
FILE_BYTES = 64 * 1024 * 1024
"""The largest file that a worker may write."""
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2


def die_with(parent: int) -> None:
    """Be killed when the parent's thread that started us ends, however it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before we could ask for that
        os._exit(1)


def limit_resources(memory_mb: int) -> None:
    """So much memory beyond what the interpreter and numpy have mapped, few descriptors, small files, no core files."""
    _set_soft_limit(resource.RLIMIT_AS, _mapped_bytes() + memory_mb * 1024 * 1024)
    _set_soft_limit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    _set_soft_limit(resource.RLIMIT_FSIZE, FILE_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - as below
        file.write("1000")  # where the machine itself runs out of memory, a worker goes first


def more_address_space(size: int) -> None:
    """Room for a shared block, which is not the agent's memory."""
    _set_soft_limit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)[0] + size)


def _set_soft_limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is not imported for one line
        return int(file.read().split()[0]) * resource.getpagesize()


# ---------------------------------------------------------------- files

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Landlock's calls, the same on every machine."""
ASK_VERSION, PATH_BENEATH = 1, 1
WRITE, TRUNCATE = 1 << 1, 1 << 14
CHANGES = WRITE | sum(1 << bit for bit in range(4, 13))
"""Writing, removing and making files, folders and links; later versions know more kinds."""
CHANGES_SINCE = {2: 1 << 13, 3: TRUNCATE}


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("place", ctypes.c_int32))


def write_only_below(folder: str) -> None:
    """Files are changed, made and removed below this folder only, and /dev/null; where the kernel has no Landlock,
    nothing. What is open already stays as it is."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    if version < 1:
        return
    changes = CHANGES | sum(bit for since, bit in CHANGES_SINCE.items() if version >= since)
    handled = ctypes.c_uint64(changes)
    rules = call(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    for place, allowed in ((folder, changes), ("/dev/null", changes & (WRITE | TRUNCATE))):
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        call(ADD_RULE, rules, PATH_BENEATH, ctypes.byref(_PathRule(allowed, descriptor)), 0)
        os.close(descriptor)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)


# ---------------------------------------------------------------- system calls


class Machine(NamedTuple):
    """The numbers of one kind of machine: its name in the audit interface and its system calls."""

    audit: int
    refused: tuple[int, ...]
    clone: int
    on_itself_only: tuple[int, ...]
    """Calls whose first argument is a process: allowed on the caller."""
    limits: int


COMMON = (424, 425, 434, 438)
"""pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd: the same everywhere."""
CLONE3 = 435
MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        # socket connect bind fork vfork execve setpgid setsid ptrace mount unshare setns process_vm_readv _writev
        # rt_sigqueueinfo rt_tgsigqueueinfo bpf execveat
        refused=(41, 42, 49, 57, 58, 59, 109, 112, 101, 165, 272, 308, 310, 311, 129, 297, 321, 322),
        clone=56,
        on_itself_only=(62, 234),  # kill tgkill
        limits=302,  # prlimit64
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        # socket connect bind execve setpgid setsid ptrace mount unshare setns process_vm_readv _writev
        # rt_sigqueueinfo rt_tgsigqueueinfo bpf execveat
        refused=(198, 203, 200, 221, 154, 157, 117, 40, 97, 268, 270, 271, 138, 240, 280, 281),
        clone=220,
        on_itself_only=(129, 131),
        limits=261,
    ),
}
CLONE_THREAD = 0x10000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, AUDIT, FIRST_ARGUMENT = 0, 4, 16
"""Where they lie in what the filter sees."""
OTHER_TABLES = 0x40000000
"""From here on x86_64 has a second table of the same calls."""


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


Step = tuple[int, int, int, int]
"""An instruction: its code, how many to skip where true and where false, and its value."""


def refuse_calls() -> None:
    """Refuse the calls above from now on, in all threads to come; where the machine is not known, nothing."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return
    steps = [_Instruction(*step) for step in _filter(machine, os.getpid())]
    program = _Program(len(steps), (_Instruction * len(steps))(*steps))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _filter(machine: Machine, ourselves: int) -> Iterable[Step]:
    """A call of another machine's table kills; a refused one gets EPERM. New threads are allowed, new processes not:
    clone3, whose arguments a filter cannot see, does not exist, so that the C library uses clone."""
    yield from ((LOAD, 0, 0, AUDIT), (EQUAL, 1, 0, machine.audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER))
    yield from ((AT_LEAST, 0, 1, OTHER_TABLES), (RETURN, 0, 0, KILL))
    for call in (*machine.refused, *COMMON):
        yield from ((EQUAL, 0, 1, call), (RETURN, 0, 0, REFUSE | errno.EPERM))
    yield from ((EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, REFUSE | errno.ENOSYS))
    yield from _only(machine.clone, ANY_BIT, CLONE_THREAD)
    yield from _only(machine.limits, EQUAL, 0)
    for call in machine.on_itself_only:
        yield from _only(call, EQUAL, ourselves)
    yield (RETURN, 0, 0, ALLOW)


def _only(call: int, test: int, value: int) -> Iterable[Step]:
    """The call is allowed where its first argument passes the test."""
    yield from ((EQUAL, 0, 4, call), (LOAD, 0, 0, FIRST_ARGUMENT), (test, 0, 1, value))
    yield from ((RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | errno.EPERM))


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *values) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
