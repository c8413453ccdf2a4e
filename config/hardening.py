"""What the kernel is asked for, process by process: no core dump, no ptrace, no life after the parent."""

import ctypes
import os
import resource
import signal

from config.errors import StrongroomError

# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


class HardeningError(StrongroomError):
    """The kernel refused a protection that a process must have before it may hold a key."""


def _prctl(option: int, value: int) -> int:
    result: int = _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), 0)
    if result < 0:
        reason = os.strerror(ctypes.get_errno())
        raise HardeningError(
            f"prctl option {option} was refused: {reason}", remedy="run on Linux 3.4 or newer"
        )
    return result


def harden_process() -> None:
    """Make this process undumpable and its memory unreadable to other processes of the same user.

    The dumpable flag survives fork, not exec; the core limit survives both.

    Raises:
        HardeningError: the kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def is_hardened() -> bool:
    """Whether this process can be dumped neither to a core file nor through ptrace."""
    return _prctl(_PR_GET_DUMPABLE, 0) == 0 and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def die_with_parent(parent: int, *, death_signal: int = signal.SIGKILL) -> None:
    """Ask the kernel to send `death_signal` to this process when its parent dies, however it dies.

    Call it right after fork. It survives exec, but not a further fork.

    Args:
        parent: process id of the parent, read before the fork: a parent that died in between is noticed.
        death_signal: the signal to die of.

    Raises:
        HardeningError: the kernel refused.
    """
    _prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        os.kill(os.getpid(), death_signal)
