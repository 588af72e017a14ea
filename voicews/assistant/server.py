"""The embedded voice server: hears, answers and speaks, with no account and no network."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from voicews.assistant.brain import Brain, SpeaksUp
from voicews.assistant.conversation import AssistantConfig, Conversation
from voicews.assistant.ears import Ears, load_ears
from voicews.assistant.home import HomeHelper
from voicews.assistant.machine import TO_INSTALL
from voicews.assistant.turns import TurnDetector
from voicews.assistant.voice import Voice, load_voice
from voicews.deadline import Deadline
from voicews.errors import BackendMissing, ConfigError, InvalidState, ShutdownTimeout

if TYPE_CHECKING:
    from voicews.assistant.link import Gate, Link, Listener, Tap

__all__ = ["AssistantServer"]

log = logging.getLogger(__name__)

_GOING_AWAY = 1001
_LEAVE_FOR_CUTTING = 1.0  # seconds of close()'s deadline kept for clients that do not answer


class _Client:
    """One connection, from its acceptance on."""

    def __init__(self, number: int, tap: Tap) -> None:
        self.number = number
        self.tap = tap
        self.thread: threading.Thread | None = None
        self.link: Link | None = None
        self.conversation: Conversation | None = None


class AssistantServer:
    """A voice server in threads: one that accepts, two for each client, one that speaks up.

    It speaks the plain dialect (16 kHz PCM in, see ``docs/reference/plain.md``).  The models
    are loaded once, in :meth:`start`, and shared by all clients.

    For tests it can also behave badly: :meth:`drop`, :meth:`stall`, :meth:`refuse`.

    Example::

        with AssistantServer() as server:
            print(server.url)
            server.wait()

    Args:
        host: name or address to listen on; default this machine only.
        port: 0 (the default) picks a free one; see :attr:`port`.
        brain: what answers; default a :class:`~voicews.assistant.home.HomeHelper`.
        ears: loaded ones, or a name for :func:`~voicews.assistant.ears.load_ears`.
        voice: a loaded one, or a name for :func:`~voicews.assistant.voice.load_voice`.
        model_dir: a Whisper model in CTranslate2's format for the ears to use.
        config: how it converses.

    Raises:
        ConfigError: ``port`` is no port.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        brain: Brain | None = None,
        ears: Ears | str = "auto",
        voice: Voice | str = "auto",
        model_dir: str | Path | None = None,
        config: AssistantConfig | None = None,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"AssistantServer's port is {port!r}; it must be from 0 to 65535")
        self._host = host
        self._wanted_port = port
        self._brain: Brain = brain or HomeHelper()
        self._wanted_ears = ears
        self._wanted_voice = voice
        self._model_dir = model_dir
        self._config = config or AssistantConfig()
        self._ears: Ears | None = None
        self._voice: Voice | None = None
        self._listener: Listener | None = None
        self._gate: Gate | None = None
        self._threads: list[threading.Thread] = []
        # Guards all below; notified whenever one of these facts changes.
        self._changed = threading.Condition()
        self._clients: dict[int, _Client] = {}
        self._accepted = 0
        self._refused = 0
        self._refusal: tuple[int, float | None] | None = None
        self._closing = threading.Event()
        self._think_again = threading.Event()
        self._startup = 0.0

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the models, listen, and return; clients may connect from then on.

        Raises:
            BackendMissing: something is not installed; the message says what to do.
            ConfigError: there are no ears or voice of that name.
            TransportError: the address cannot be listened on, being in use or not ours.
            InvalidState: it runs already.
        """
        if self._listener is not None:
            raise InvalidState("the assistant's server runs already; close it before another start()")
        try:
            from voicews.assistant.link import Gate, Listener
        except ImportError as error:
            raise BackendMissing(f"the assistant's server needs: {TO_INSTALL}") from error
        began = time.monotonic()
        ears, voice = self._wanted_ears, self._wanted_voice
        self._ears = load_ears(ears, model_dir=self._model_dir) if isinstance(ears, str) else ears
        self._voice = load_voice(voice) if isinstance(voice, str) else voice
        TurnDetector(self._config.hangover)  # each client gets its own; tell now if that cannot be
        self._closing.clear()
        self._gate = Gate()
        self._listener = Listener(
            self._host, self._wanted_port, talk=self._talk, refusal=self._judge_handshake
        )
        self._run("accept", self._accept, self._listener, self._gate)
        brain: object = self._brain
        if isinstance(brain, SpeaksUp):
            self._run("speaks-up", self._speak_up, brain)
        self._startup = time.monotonic() - began
        log.info("listening on %s with %s and %s", self.url, self._ears.name, self._voice.name)

    def close(self, deadline: float = 5.0) -> None:
        """Hang up on everybody and end all threads.  Again, it does nothing.

        Args:
            deadline: seconds that all of it may take; whoever has not answered a second
                before the end is cut off.

        Raises:
            ShutdownTimeout: a thread is still running, most likely in the brain.
        """
        listener, gate = self._listener, self._gate
        if listener is None or gate is None:
            return
        limit = Deadline(deadline)
        self._closing.set()
        self._think_again.set()
        listener.wake()
        gate.open()
        self._join(self._threads, limit)
        with self._changed:
            clients = list(self._clients.values())
        for client in clients:
            if client.conversation is not None:
                client.conversation.hang_up()
        goodbyes = self._say_goodbye(clients, _GOING_AWAY, "the server is closing")
        patience = max(0.0, deadline - _LEAVE_FOR_CUTTING)
        if not self.wait_for(lambda server: not server._clients, patience):
            for client in clients:
                client.tap.cut()
        threads = [client.thread for client in clients if client.thread is not None]
        self._join([*goodbyes, *threads], limit)
        alive = [thread.name for thread in (*self._threads, *goodbyes, *threads) if thread.is_alive()]
        listener.close()
        self._listener = self._gate = None
        self._threads = []
        with self._changed:
            self._changed.notify_all()
        if alive:
            raise ShutdownTimeout(alive)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until :meth:`close` is called; True if it was."""
        return self._closing.wait(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.url if self._listener is not None else "not running"
        return f"<AssistantServer {where}, {len(self.clients)} clients>"

    def _run(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"voicews-assistant-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _join(threads: list[threading.Thread], limit: Deadline) -> None:
        for thread in threads:
            thread.join(limit.remaining())

    # -- facts ------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens.

        Raises:
            InvalidState: it does not run.
        """
        if self._listener is None:
            raise InvalidState("the assistant's server has no port before start() and after close()")
        return self._listener.port

    @property
    def url(self) -> str:
        """What a client on this machine connects to.

        Raises:
            InvalidState: it does not run.
        """
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def ears(self) -> Ears | None:
        """What it hears with; None before the first start."""
        return self._ears

    @property
    def voice(self) -> Voice | None:
        """What it speaks with; None before the first start."""
        return self._voice

    @property
    def startup(self) -> float:
        """Seconds that the last :meth:`start` took, most of them for the models."""
        return self._startup

    @property
    def connections(self) -> int:
        """How many clients have been let in so far."""
        return self._accepted

    @property
    def refused(self) -> int:
        """How many were sent away by :meth:`refuse`."""
        return self._refused

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of those it converses with now, counted from 1."""
        with self._changed:
            return tuple(
                number for number, client in self._clients.items() if client.conversation is not None
            )

    def wait_for(self, fact: Callable[[AssistantServer], bool], timeout: float = 5.0) -> bool:
        """Wait until a fact about this server is true; False if it was not in so many seconds.

        Asked again whenever a client comes or goes: ``wait_for(lambda server: server.connections == 2)``.
        """
        with self._changed:
            return self._changed.wait_for(lambda: fact(self), timeout)

    # -- bad behaviour ----------------------------------------------------------------------

    def drop(self, code: int | None = None, *, client: int | None = None) -> int:
        """End connections.

        Args:
            code: close in good order with this code; None cuts the TCP connection instead.
            client: only this one, by its number; None means all.

        Returns:
            How many were ended.

        Raises:
            InvalidState: there is a ``code`` to be sent, but the server is stalled.
        """
        if code is not None and self._gate is not None and self._gate.is_shut:
            raise InvalidState("a stalled server cannot send a Close frame; resume() it first")
        with self._changed:
            chosen = [
                one
                for one in self._clients.values()
                if one.conversation and client in (None, one.number) and not one.tap.is_cut
            ]
        if code is None:
            for one in chosen:
                one.tap.cut()
        else:
            for thread in self._say_goodbye(chosen, code, ""):
                thread.join()
        return len(chosen)

    def stall(self) -> None:
        """Neither read nor write any more, while connections stay: like a host that hangs."""
        if self._gate is not None:
            self._gate.shut()

    def resume(self) -> None:
        """Go on after :meth:`stall`."""
        if self._gate is not None:
            self._gate.open()

    def refuse(self, status: int = 503, retry_after: float | None = None) -> None:
        """Answer every handshake with this HTTP status, and Retry-After where given (seconds)."""
        with self._changed:
            self._refusal = (status, retry_after)

    def accept(self) -> None:
        """Let clients in again after :meth:`refuse`."""
        with self._changed:
            self._refusal = None

    # -- threads ----------------------------------------------------------------------------

    def _accept(self, listener: Listener, gate: Gate) -> None:
        from voicews.assistant.link import Tap

        number = 0
        while (accepted := listener.accept()) is not None:
            sock, address = accepted
            number += 1
            client = _Client(number, Tap(sock, gate))
            client.thread = threading.Thread(
                target=self._serve,
                args=(listener, client, address),
                name=f"voicews-assistant-client-{number}",
                daemon=True,
            )
            with self._changed:
                self._clients[number] = client
            client.thread.start()

    def _serve(self, listener: Listener, client: _Client, address: object) -> None:
        try:
            listener.serve(client.tap, address)
            if client.link is not None:
                client.link.join(None)
        finally:
            client.tap.close()
            with self._changed:
                del self._clients[client.number]
                self._changed.notify_all()

    def _talk(self, link: Link) -> None:
        assert self._ears is not None
        assert self._voice is not None
        thread = threading.current_thread()
        with self._changed:
            client = next(one for one in self._clients.values() if one.thread is thread)
        conversation = Conversation(
            link,
            brain=self._brain,
            ears=self._ears,
            voice=self._voice,
            config=self._config,
            name=thread.name,
            on_answer=self._think_again.set,
        )
        with self._changed:
            client.link, client.conversation = link, conversation
            self._accepted += 1
            self._changed.notify_all()
        self._think_again.set()
        if not self._closing.is_set():
            conversation.run()

    def _judge_handshake(self) -> tuple[int, float | None] | None:
        with self._changed:
            if self._refusal is not None:
                self._refused += 1
                self._changed.notify_all()
            return self._refusal

    def _say_goodbye(self, clients: list[_Client], code: int, reason: str) -> list[threading.Thread]:
        """Close these connections, all at the same time; each takes up to a second."""
        goodbyes = []
        for client in clients:
            if client.link is not None:
                thread = threading.Thread(
                    target=client.link.close,
                    args=(code, reason),
                    name=f"voicews-assistant-goodbye-{client.number}",
                    daemon=True,
                )
                thread.start()
                goodbyes.append(thread)
        return goodbyes

    def _speak_up(self, brain: SpeaksUp) -> None:
        """Wait for what the brain wants to say by itself, and have it said to everybody."""
        while not self._closing.is_set():
            self._think_again.clear()
            with self._changed:
                listeners = [one.conversation for one in self._clients.values() if one.conversation]
            try:
                due = brain.next_due() if listeners else None
                texts = brain.take_due() if due is not None and due <= 0 else []
            except Exception:
                log.exception("the brain failed to speak up; it is asked again after the next answer")
                due, texts = None, []
            for text in texts:
                for conversation in listeners:
                    conversation.announce(text)
            if not texts:
                self._think_again.wait(due)
