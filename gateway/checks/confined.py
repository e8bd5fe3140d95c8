"""Runs a program within limits: started by `gateway.checks.command`, as a file, by itself.

    python -I -S confined.py PARENT CPU MEMORY FILE_SIZE PROCESSES program ...

It sets its own limits and then becomes the program, so that the gateway need not run code between
fork and exec. It is paid for with every reply that is checked, so it imports little,
and nothing of the gateway.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def _limit(kind: int, value: int) -> None:
    most = resource.getrlimit(kind)[1]
    least = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (least, least))


def _running() -> int:
    """Count the user's processes and threads: the limit of processes counts them all."""
    count = 0
    for process in os.scandir("/proc"):
        try:
            if process.name.isdigit() and process.stat().st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{process.name}/task"))  # noqa: PTH208 (see above)
        except OSError:
            continue  # it has ended meanwhile
    return count


def main() -> None:
    """Set the limits and become the program; 126 when it cannot be run."""
    parent, cpu, memory, file_size, processes = map(int, sys.argv[1:6])
    program = sys.argv[6:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(126)  # the gateway was gone before its end could be heard of
        _limit(resource.RLIMIT_NPROC, _running() + processes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, file_size)
    _limit(resource.RLIMIT_AS, memory)
    try:
        os.execvp(program[0], program)  # noqa: S606 (a list of arguments, as configured)
    except OSError:
        sys.exit(126)


if __name__ == "__main__":
    main()
