"""One fault, tried on a whole client: it talks all the while, and everything is written down."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults.ledger import Ledger, ListeningSpeaker, StampingMicrophone
from tests.faults.matrix import Ends, Fails, Fault, Recovers
from tests.patience import PATIENCE
from voicews import (
    Backoff,
    Buffers,
    ClientConfig,
    Event,
    InvalidState,
    State,
    Timeouts,
    TlsSettings,
    Undelivered,
    VoiceClient,
)
from voicews.commands import Command, SendMessage, SendText
from voicews.testing import FaultProxy, FaultServer, steps

CONFIG = ClientConfig(
    timeouts=Timeouts(connect=1.0, session=1.0, send=1.0, ping_interval=0.3, pong=1.0, close=2.0),
    buffers=Buffers(outbox=1.0, max_audio_age=1.0, playback=5.0),
    backoff=Backoff(initial=0.1, factor=2.0, cap=0.4, jitter=0.0, max_attempts=None, stable_after=0.5),
)
NOTICED = 1.3
"""Seconds in which a silent link is noticed with CONFIG: ping_interval and pong."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Trial:
    """A client, its server, and the books.

    Attributes:
        voice: the client.
        server: what it talks to, unless the fault brings its own; ``url`` tells where that is.
        proxy: what is between, if the fault wants it.
        ledger: what arrived at the server.
        events: what the callbacks were told.
        accepted: names of the commands that ``send`` took; ``refused``: those that it refused.
        error: what ``open()`` raised.
        closing: seconds that ``close()`` took; ``close_error``: what it raised.
        healed: when the fault was over.
        silenced: frames that were muted, and so arrived without their number.
    """

    silenced = 0

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.threads_before = set(threading.enumerate())
        self.descriptors_before = descriptors()
        self.rss_before = self.rss_most = rss()
        self.ledger = Ledger()
        self.microphone = StampingMicrophone(fault.every)
        self.speaker = ListeningSpeaker()
        self.events: list[Event] = []
        self.news = threading.Condition()
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.overfull: list[str] = []
        self.error: BaseException | None = None
        self.closing = 0.0
        self.close_error: BaseException | None = None
        self.healed = 0.0
        self.back_after: float | None = None
        self.thread_leaks: list[str] = []
        self.descriptor_leaks: list[str] = []
        self._stack = contextlib.ExitStack()
        self._done = threading.Event()
        self.server = self._stack.enter_context(FaultServer(self.serve, tls=fault.tls))
        if fault.scripts is not None:
            self.server.script(*fault.scripts(self))
        self.proxy = FaultProxy(self.server.port, seed=1)
        self._stack.callback(self.proxy.close)
        self.url = self.server.url
        if fault.proxied:
            self.url = self.url.replace(str(self.server.port), str(self.proxy.port))
        self.config = dataclasses.replace(CONFIG, **fault.config)
        if fault.tls is not None and "tls" not in fault.config:
            tls = TlsSettings(ca_file=self.server.ca_file)
            self.config = dataclasses.replace(self.config, tls=tls)
        self._voice: VoiceClient | None = None
        self._making = threading.Lock()
        self._finished = False

    # -- the server's side ----------------------------------------------------------------------

    @property
    def serve(self) -> list[Any]:
        """The script of a good server."""
        return [steps.accept(), steps.listen(self.ledger.converse)]

    def serve_then(self, *then: Any, count: int = 20) -> list[Any]:
        """The script of one that is good for so many messages."""
        return [steps.accept(), steps.listen(self.ledger.converse, count=count), *then]

    # -- the client -----------------------------------------------------------------------------

    @property
    def voice(self) -> VoiceClient:
        with self._making:  # the test and its watch may both be the first to ask for it
            if self._voice is None:
                self._voice = VoiceClient(
                    self.fault.dialect(self.url),
                    microphone=self.microphone,
                    speaker=self.speaker,
                    config=self.config,
                )
                self._voice.on(Event, self._note)
            return self._voice

    def _note(self, event: Event) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def of(self, kind: type[Event]) -> list[Any]:
        with self.news:
            return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], count: int = 1) -> Any:
        """The n-th event of a kind."""
        self.wait_until(lambda: len(self.of(kind)) >= count, f"{kind.__name__} number {count}")
        return self.of(kind)[count - 1]

    def wait_until(self, fact: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        """Wait for a fact that some event brings, or the clock."""
        deadline = time.monotonic() + timeout
        with self.news:
            while not fact():
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come; told were {self.events[-10:]}"
                self.news.wait(min(left, 0.02))

    def open(self) -> None:
        """Open the client, and wait until both sides hear each other; an error is kept."""
        self._start("voicews-trial-watch", self._watch)
        try:
            self.voice.open(PATIENCE)
        except Exception as error:
            self.error = error
            return
        self._start("voicews-trial-talk", self._talk)

    def settle(self) -> None:
        """Wait until the conversation goes both ways."""
        frames, heard, said = len(self.ledger.frames), len(self.speaker.heard), len(self.ledger.commands)
        self.wait_until(
            lambda: (
                len(self.ledger.frames) >= frames + 5
                and len(self.speaker.heard) >= heard + 3
                and len(self.ledger.commands) > said
            ),
            "the conversation",
        )

    def heal(self, since: float | None = None) -> None:
        """The fault is over, now or ``since`` then."""
        self.healed = time.monotonic() if since is None else since

    def _start(self, name: str, job: Callable[[], None]) -> None:
        thread = threading.Thread(target=job, name=name, daemon=True)
        thread.start()
        self._stack.callback(thread.join, PATIENCE)
        self._stack.callback(self._done.set)

    def _talk(self) -> None:
        """Texts and messages of the user's own, twenty a second, each with a name of its own."""
        for number in itertools.count():
            if self._done.wait(0.05):
                return
            self.say(f"word {number}" if number % 2 else f"tool {number}")

    def say(self, name: str) -> None:
        """Say something by its name, and note whether it was taken."""
        command = SendText(name) if name.startswith("word") else SendMessage({"type": "tool", "name": name})
        try:
            self.voice.send(command)
        except InvalidState:
            self.refused.append(name)
        else:
            self.accepted.append(name)

    def _watch(self) -> None:
        """How much is held, ever and again."""
        while not self._done.wait(0.05):
            self.rss_most = max(self.rss_most, rss())
            try:
                stats = self.voice.stats()
            except InvalidState:
                continue
            buffers = self.config.buffers
            if stats.frames_waiting > buffers.outbox / self.config.frame + 1:
                self.overfull.append(f"{stats.frames_waiting} frames wait in the outbox")
            if stats.playback_ms > (buffers.playback + 0.1) * 1000:
                self.overfull.append(f"{stats.playback_ms} ms of sound wait for the loudspeaker")

    # -- its course -----------------------------------------------------------------------------

    def run(self) -> None:
        """Provoke the fault, wait for what has to become of it, and close."""
        if self.fault.opens:
            self.open()
            if self.error is None:
                self.settle()
        self.fault.provoke(self)
        self.finish()

    def finish(self) -> None:
        """Wait for what has to become of it, and close.

        A fault whose surroundings end with it calls this itself.
        """
        if self._finished:
            return
        self._finished = True
        self.healed = self.healed or time.monotonic()
        match self.fault.outcome:
            case Recovers():
                self._await_recovery()
            case Fails() | Ends():
                self.wait_until(lambda: self.voice.state.ended, "the end of the run")
        self.close()

    def _await_recovery(self) -> None:
        """What was captured, and what was said, since the fault was over arrives."""
        assert self.error is None, f"open() raised {self.error!r}"
        healed = self.healed
        there = self.ledger.wait_for(lambda: any(f.captured > healed for f in self.ledger.frames), PATIENCE)
        assert there, f"no sound arrived after the fault; told were {self.events[-10:]}"
        self.back_after = next(f.arrived for f in self.ledger.frames if f.captured > healed) - healed
        name = f"word at {healed}"
        self.say(name)
        assert name in self.accepted, f"the client did not take what came after the fault: {self.voice!r}"
        assert self.ledger.wait_for(lambda: self.ledger.arrivals(name) > 0, PATIENCE), "the last word is lost"

    def close(self) -> None:
        """Close the client, and see how long it takes and what it leaves; the first time counts."""
        if self.closing:
            return
        began = time.monotonic()
        try:
            self.voice.close()
        except BaseException as error:
            self.close_error = error
        self.closing = time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            if self._voice is not None:
                self._voice.close()
        self._stack.close()
        # An error keeps the frames in which it was raised, and they their sockets.
        gc.collect()
        self.thread_leaks = sorted(self._leaked_threads())
        left = descriptors()
        if len(left) > len(self.descriptors_before):
            known = self.descriptors_before
            self.descriptor_leaks = [f"{fd} -> {what}" for fd, what in left.items() if known.get(fd) != what]

    def _leaked_threads(self) -> Iterator[str]:
        for thread in set(threading.enumerate()) - self.threads_before:
            if thread.name.startswith("voicews-"):
                thread.join(1.0)
                if thread.is_alive():
                    yield thread.name

    # -- what became of it ----------------------------------------------------------------------

    @property
    def undelivered(self) -> dict[str, bool]:
        """By name, whether what was not delivered had at least been sent."""
        return {name_of(event.command): event.sent for event in self.of(Undelivered)}

    @property
    def ended_as(self) -> State:
        return self.voice.state


def name_of(command: Command) -> str:
    """The name by which the ledger knows a command."""
    match command:
        case SendText(text=text):
            return text
        case SendMessage(data=dict(data)):
            return str(data.get("name"))
    return type(command).__name__


def descriptors() -> dict[int, str]:
    """This process's open files."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = str(entry.readlink())
    return found


def rss() -> int:
    """Bytes of memory that this process really has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
