"""The ``voicews`` command: ``talk``, ``demo``, ``timeline``, ``serve``, ``devices`` and ``bench``.

Nothing is imported here at first: before Python has got to :func:`main`, Ctrl+C still ends in
a traceback.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it, without the time that typing takes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, which ``voicews --help`` explains.

    Args:
        argv: the arguments without the program's name; None takes this process's.

    Raises:
        SystemExit: from argparse, after ``--help`` and ``--version`` and for wrong usage.
    """
    try:
        from voicews.cli.signals import held, stoppable

        with stoppable():
            with held():
                from voicews.cli import command
            return command.run(argv)
    except KeyboardInterrupt as stopped:  # Python's own, before stoppable(), has no exit code
        return getattr(stopped, "exit_code", 130)
