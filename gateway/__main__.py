"""`python -m gateway` is `waterfall`, and this is where both begin."""

import signal
import sys
from types import FrameType


def main() -> int:
    """Run a command; return its exit code. See gateway.cli."""
    if sys.argv[1:2] == ["serve"]:
        _ready_for_signals()
    # Only now: importing it is most of what a start takes.
    from gateway.cli import main as run  # noqa: PLC0415

    return run()


def _ready_for_signals() -> None:
    """Until the gateway serves, and has its own handlers: be told to end well, and leave a reload
    to the start, which reads the configuration anyway. Neither would be so by default."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    # Not SIG_IGN, which would be handed on to every process that is started.
    signal.signal(signal.SIGHUP, lambda *_: None)


if __name__ == "__main__":
    sys.exit(main())
