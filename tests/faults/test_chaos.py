"""Chance: faults of all kinds one after another and at once, while the user does what users do.

Each run is made by its seed: what happens, in which order, and how long it is waited in between.
``VOICEWS_CHAOS_SEED=1234 script/test tests/faults/test_chaos.py -k one_more`` tries another one.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults import invariants, matrix
from tests.faults.matrix import Ends, Fault, Recovers, Row
from tests.faults.trial import Trial
from tests.patience import PATIENCE
from voicews import DeviceLostError, Event, InvalidState, PlaybackStarted, State, VoicewsError
from voicews.testing import FaultConnection

QUICK, ALL = 60, 200
FAMILY = "Chance"
WITHIN = Recovers(within=6.0)
"""A device may wait 1.6 s for its next trial, and an attempt to connect, or a session, may take 1 s."""

Undo = Callable[[], None]
Deed = Callable[["Chaos"], Undo | None]


class Chaos(Trial):
    """A trial that happens to somebody unlucky.

    Attributes:
        journal: what has happened, in words.
        impatient: whether the user closes in the midst of it all.
    """

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.journal: list[str] = []
        self.impatient = self.luck.random() < 0.25
        fault = Fault(
            f"seed {seed}",
            lambda _: self.go_through_it(),
            Ends() if self.impatient else WITHIN,
            proxied=True,
            aloud=True,
            tls="good" if self.luck.random() < 0.3 else None,
            config={"push_to_talk": self.luck.random() < 0.2},
            transit=6.0 if self.impatient else 3.0,
        )
        super().__init__(fault)
        self._undo: list[Undo] = []
        self.muted_since = sys.maxsize

    def open(self) -> None:
        super().open()
        if self.config.push_to_talk:
            self.muted_since = 0
            self.voice.start_talking()
            self.unmute()

    def unmute(self) -> None:
        self.voice.unmute()
        self.silenced += max(0, self.microphone.captured - self.muted_since) + 2
        self.muted_since = sys.maxsize

    def go_through_it(self) -> None:
        self.voice.on(Event, self._fail_now_and_then)
        for _ in range(self.luck.randint(1, 2)):
            for _ in range(self.luck.randint(4, 9)):
                deed = self.luck.choice(DEEDS)
                self.journal.append(deed.__name__)
                undo = deed(self)
                if undo is not None:
                    self._undo.append(undo)
                threading.Event().wait(self.luck.choice((0.0, 0.02, 0.05, 0.1, 0.2, 0.3)))
                if self._undo and self.luck.random() < 0.5:
                    self._undo.pop(0)()
            if self.impatient:
                self.journal.append("close")
                self.close()
                self.make_good()
                return
            self.make_good()
            if self.luck.random() < 0.3:
                self.live_again()

    def make_good(self) -> None:
        """All that was done to it is over."""
        self.journal.append("heal")
        while self._undo:
            self._undo.pop()()
        self.proxy.heal()
        self.server.thaw()
        self.server.start()
        self.unmute()
        self.heal()

    def live_again(self) -> None:
        """Close, balance the books, and open again."""
        self.journal.append("close and open")
        self.finish()
        self.server.wait_for(lambda: all(connection.over for connection in self.server.connections))
        refused = len(self.refused)
        self.wait_until(lambda: len(self.refused) > refused, "a word that is refused")
        broken = invariants.check(self, FAMILY).broken
        assert not broken, broken
        with self.news, self.ledger.news:
            self.events.clear()
            self.accepted.clear()
            self.refused.clear()
            self.speaker.heard.clear()
            self.ledger.frames.clear()
            self.ledger.commands.clear()
        self._finished, self.closing, self.back_after = False, 0.0, None
        self.voice.open(PATIENCE)
        self.heal()

    def _fail_now_and_then(self, event: Event) -> None:
        if isinstance(event, PlaybackStarted) and len(self.events) % 3 == 0:
            raise ZeroDivisionError("the user's own")


# -- what the network and the server do ------------------------------------------------------------


def cut(chaos: Chaos) -> None:
    chaos.proxy.cut()


def reset(chaos: Chaos) -> None:
    chaos.proxy.reset()


def half_close(chaos: Chaos) -> None:
    chaos.proxy.half_close(chaos.luck.choice(("up", "down")))


def freeze(chaos: Chaos) -> Undo:
    chaos.proxy.freeze(chaos.luck.choice(("up", "down", "both")))
    return chaos.proxy.thaw


def refuse(chaos: Chaos) -> Undo:
    chaos.proxy.refuse()
    return chaos.proxy.admit


def drop_new(chaos: Chaos) -> Undo:
    chaos.proxy.drop_new()
    chaos.proxy.cut()
    return chaos.proxy.admit


def slow(chaos: Chaos) -> Undo:
    chaos.proxy.delay, chaos.proxy.jitter = chaos.luck.uniform(0, 0.3), chaos.luck.uniform(0, 0.3)

    def undo() -> None:
        chaos.proxy.delay = chaos.proxy.jitter = 0.0

    return undo


def narrow(chaos: Chaos) -> Undo:
    chaos.proxy.rate = chaos.luck.choice((5_000, 20_000, 40_000))

    def undo() -> None:
        chaos.proxy.rate = None

    return undo


def server_stops(chaos: Chaos) -> Undo:
    chaos.server.stop(reset=chaos.luck.random() < 0.5)
    return chaos.server.start


def server_freezes(chaos: Chaos) -> Undo:
    chaos.server.freeze()
    return chaos.server.thaw


def _to_the_last_connection(chaos: Chaos, deed: Callable[[FaultConnection], None]) -> None:
    connections = [
        c for c in chaos.server.connections if c.accepted and not c.over and c.link.thawed.is_set()
    ]
    if connections:
        with contextlib.suppress(Exception):  # it may end at this very moment
            deed(connections[-1])


def server_closes(chaos: Chaos) -> None:
    code = chaos.luck.choice((1001, 1011, 1012, 1013))
    _to_the_last_connection(chaos, lambda connection: connection.close(code, "chance"))


def server_says(chaos: Chaos) -> None:
    what: Any = chaos.luck.choice(
        (
            {"type": "response_started"},
            {"type": "response_done"},
            {"type": "interrupted"},
            {"type": "transcript", "role": "user", "text": "what", "final": True},
            {"type": "transcript", "role": "assistant", "text": "part", "final": False},
            {"type": "error", "message": "not so important"},
            {"type": "nobody knows this"},
            "no JSON at all",
            "[1, 2, {}]",
        )
    )
    _to_the_last_connection(chaos, lambda connection: connection.send(what))


# -- what the devices do ---------------------------------------------------------------------------


def microphone_breaks(chaos: Chaos) -> Undo | None:
    return _break(chaos.microphone, "read")


def speaker_breaks(chaos: Chaos) -> Undo | None:
    return _break(chaos.speaker, chaos.luck.choice(("write", "pending")))


def _break(device: Any, method: str) -> Undo | None:
    if {"read", "write", "pending"} & set(vars(device)):
        return None  # it is broken already

    def gone(*arguments: object) -> Any:
        raise DeviceLostError("unplugged")

    setattr(device, method, gone)
    return lambda: delattr(device, method)


# -- what the user does ----------------------------------------------------------------------------


def talk_much(chaos: Chaos) -> None:
    for number in range(chaos.luck.randint(1, 10)):
        with contextlib.suppress(VoicewsError):
            chaos.say(f"word {len(chaos.journal)}.{number} of many")


def interrupt(chaos: Chaos) -> None:
    chaos.voice.interrupt()


def mute(chaos: Chaos) -> Undo:
    chaos.muted_since = min(chaos.muted_since, chaos.microphone.captured)
    chaos.voice.mute()
    return chaos.unmute


def push_to_talk(chaos: Chaos) -> None:
    mute(chaos)
    chaos.voice.start_talking()
    chaos.voice.stop_talking()
    chaos.unmute()


def ask(chaos: Chaos) -> None:
    repr(chaos.voice)
    chaos.voice.stats()
    list(chaos.voice.history)
    with contextlib.suppress(TimeoutError, InvalidState):
        chaos.voice.wait_for(State.CONNECTED, 0.01)


def listen_elsewhere(chaos: Chaos) -> Undo:
    stream = chaos.voice.events(Event)
    return stream.close


def open_again(chaos: Chaos) -> None:
    with pytest.raises(InvalidState):
        chaos.voice.open()


DEEDS: list[Any] = [
    *(cut, reset, half_close, freeze, refuse, drop_new, slow, narrow),
    *(server_stops, server_freezes, server_closes, server_says, server_says),
    *(microphone_breaks, speaker_breaks),
    *(talk_much, talk_much, interrupt, interrupt, mute, push_to_talk, ask, listen_elsewhere, open_again),
]


# -- the runs --------------------------------------------------------------------------------------

_tried: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def one_row_for_all() -> Iterator[None]:
    _tried.clear()
    yield
    if _tried:
        broken: dict[str, str] = {}
        for seed, what in _tried.items():
            if what:
                broken.setdefault("ends", f"{seed}: {what}")
        name = f"{len(_tried)} runs of 4 to 18 faults and deeds in a row, by chance"
        matrix.record(Row(FAMILY, name, str(WITHIN), None, broken))


def go_through(seed: int) -> None:
    chaos = Chaos(seed)
    name = chaos.fault.name
    _tried[name] = "it did not come to its end"
    try:
        with chaos:
            chaos.run()
        broken = invariants.check(chaos, FAMILY).broken
    except BaseException:
        print(f"{name}: {', '.join(chaos.journal)}")
        raise
    _tried[name] = "; ".join(f"{invariant}: {why}" for invariant, why in broken.items())
    assert not broken, f"{name}: {', '.join(chaos.journal)}\n{broken}"


@pytest.mark.parametrize("seed", range(QUICK))
def test_chance(seed: int) -> None:
    go_through(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(QUICK, ALL))
def test_much_chance(seed: int) -> None:
    go_through(seed)


@pytest.mark.skipif("VOICEWS_CHAOS_SEED" not in os.environ, reason="VOICEWS_CHAOS_SEED names none")
def test_one_more() -> None:
    go_through(int(os.environ["VOICEWS_CHAOS_SEED"]))
