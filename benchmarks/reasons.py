"""Why a goal is missed, for each row that is: told below the table and on the page.

What is known is written here, as the mechanism and not as figures, for the figures are those of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import Measure, Row, goal, number

__all__ = ["Missed", "by_how_much", "fits", "missed", "reasons", "why"]

UNKNOWN = "no reason known yet: profile it"

_TAIL = """
    p99 is made by the few worst of a run's 300 frames (100 in the quick form). A frame of ours passes from
    one thread to the next, and if the kernel wakes the second one on a core that is taken, it waits there for
    a time slice: nearly all of the worst frames are 3 to 4 ms late. The bare loop, which does all in one
    thread, is woken half as often. What else the machine does shows here first: see the load average
"""
_REASONS: tuple[tuple[str, str, str], ...] = (
    # The measure and what the row says, as regular expressions; why.  The first that fits holds.
    (
        "P1|P4",
        r"with statistics",
        """
        counting is four additions under a lock for a frame up and one down. Where both turns count, they
        still differ by up to 2 %, and by more in the quick form, which has 20 pairs of turns instead of 100
        """,
    ),
    ("P1", r"p99", _TAIL),
    (
        "P1",
        r"p50",
        """
        a frame changes hands once: the microphone's thread queues it and wakes the sender, which has to get a
        core and the interpreter's lock before it can send. The bare loop sends from the thread that read it,
        so that a network that stalls stops its microphone
        """,
    ),
    (
        "P2",
        r"p50",
        """
        a frame changes hands once: the receiver queues it and wakes the player, which has to get a core and
        the interpreter's lock before it has the frame. The bare loop counts it as received in the thread
        that read it, and answers no ping while a loudspeaker takes its time
        """,
    ),
    ("P2", r"p99", _TAIL),
    (
        "P4",
        r"CPU of one stream, .* client,",
        """
        a client for which a message of sound is bytes to hand on, with fewer threads on a frame's way, takes
        less than one that can lose a connection, a microphone or a loudspeaker and go on: see "Where the time
        goes". By default none of theirs reconnects
        """,
    ),
    (
        "P4",
        r"context switches, .* client,",
        """
        theirs have two or three threads on the way of a frame, voicews has four: the microphone's thread of
        theirs sends, so that a network that stalls stops the microphone, and nothing waits before the
        loudspeaker unless the user writes it
        """,
    ),
    (
        "P4",
        r"CPU of one stream",
        """
        100 times a second a frame goes from one thread to the next (microphone to sender, receiver to
        player), and each time the other thread has to be woken, get the interpreter's lock and give it
        back; the bare loops have two threads and hand nothing over. With the network we do less than they:
        one system call for a frame that is read instead of three, and no poll before it
        """,
    ),
    (
        "P4",
        r"context switches",
        """
        each hand-over from one thread to another is a sleep and a wake-up, a hundred of them a second,
        where the bare loops have none; with a queue on either side they have as many
        """,
    ),
    (
        "P3",
        r"inbound",
        """
        what the asyncio client waits for is fixed, half of its microphone's 64 ms block and more, so that
        this is P2's time once more: a frame of ours that has to wake the player's thread
        """,
    ),
    (
        "P3",
        r"age of a sample",
        """
        half a frame (10 ms) of that age is the frame's own length, as half a block is of the asyncio
        client's; what is beyond it is P1
        """,
    ),
    (
        "P5",
        r"mouth to ear, p95",
        """
        most of it are the devices', which stand beside it: what voicews adds is in the rows above this one
        """,
    ),
    (
        "P5",
        r"beyond the devices alone",
        """
        the sound server settles the delay of a device anew each time that it is opened, and the client and
        the devices alone are opened one after the other: the same two differ by up to 40 ms between two
        openings, either way
        """,
    ),
    (
        "P7",
        r"cut",
        """
        dialling takes as long as the bare one. Before it the news has to travel: the receiver sees the end,
        waits for its sender to leave the socket, and tells the supervisor, which asks the backoff and makes
        a new connection; after it a sender is started. Each of these steps is a wake-up or a new thread,
        0.1 to 0.25 ms; under TLS, where they are the same, the handshake outweighs them
        """,
    ),
    (
        "P8",
        r"from voicews import VoiceClient",
        """
        the first public name loads what all of them are made of: events, settings, errors. A third of the
        time is the standard library's (`dataclasses` with `inspect`, `logging`, `typing`), most of the rest
        the making of some sixty frozen dataclasses, each of which writes and compiles its methods. What a
        client needs besides is loaded when one is made
        """,
    ),
    (
        "P9",
        r"p99",
        """
        50 clients, say, are 200 threads that all wake within each 20 ms, in one interpreter with one lock: a
        frame waits for those that woke before it
        """,
    ),
    (
        "P10",
        r"p99, a busy thread$",
        """
        a thread that computes gives up the interpreter's lock only after the switch interval (5 ms, if it
        is not changed), and a frame has to win the lock once in each thread that it passes: twice here,
        once in the bare loop. `sys.setswitchinterval(0.0005)` in such a program makes it short
        """,
    ),
    (
        "P10",
        r"ran dry, a busy thread",
        """
        a frame came later than the loudspeaker's cushion of 36 ms. The waits for the interpreter's lock are
        far shorter with a switch interval of 0.5 ms (alone on the machine, at most 8 ms in a thousand frames)
        and can be so long with the usual one of 5 ms; the rest is what else the machine did
        """,
    ),
    (
        "P10",
        r"a busy thread, switch interval",
        """
        with an interval of 0.5 ms a frame still has to win the interpreter's lock once in each thread that it
        passes, against a thread that never gives it up by itself: twice here, once in the bare loop
        """,
    ),
    (
        "P10",
        r"p99, a quarter of a core",
        """
        a process that has used its share of a period of 10 ms stands still until the next one, and a frame
        of ours takes more of the share than one of the bare loop (P4). At p99 it is a few frames in some
        hundred
        """,
    ),
)


@dataclass(frozen=True)
class Missed:
    """Rows that missed their goals, all for one reason."""

    rows: tuple[Row, ...]
    why: str

    def lines(self) -> list[str]:
        """For the terminal and for Markdown alike: a line for each row, and the reason below them."""
        return [*(f"- {by_how_much(row)}" for row in self.rows), "", f"Why: {self.why}.", ""]


def reasons() -> list[tuple[str, str]]:
    """For which measures and rows there is one, as regular expressions."""
    return [(measure, what) for measure, what, _ in _REASONS]


def fits(row: Row, measure: str, what: str) -> bool:
    """Whether a reason is for this row."""
    return bool(re.fullmatch(measure, row.measure) and re.search(what, row.what))


def why(row: Row) -> str:
    """What is known of a row that is missed."""
    for measure, what, reason in _REASONS:
        if fits(row, measure, what):
            return " ".join(reason.split())
    return UNKNOWN


def by_how_much(row: Row) -> str:
    """Which, its value, its goal, and how far the one is from the other."""
    far = abs(row.value - row.goal)
    share = f" ({100 * far / abs(row.goal):.0f} %)" if row.goal else ""
    unit = row.unit_of_value
    missed_by = f"missed by {number(far, unit)}{share}"
    return f"{row.measure}, {row.what}: {number(row.value, unit)}, goal {goal(row)}, {missed_by}"


def missed(measures: Iterable[Measure]) -> list[Missed]:
    """All that missed their goals, in the order of the table; those with one reason together."""
    found: dict[str, list[Row]] = {}
    for measure in measures:
        for row in measure.rows:
            if not row.met:
                found.setdefault(why(row), []).append(row)
    return [Missed(tuple(rows), reason) for reason, rows in found.items()]
