"""close() from wherever a program can call it, and at whatever time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

import voicews
from tests.faults.conftest import Try
from tests.faults.matrix import Ends, Fails, Fault, Outcome
from tests.faults.test_user import cut, fail_in_a_callback
from tests.faults.trial import Trial
from tests.patience import PATIENCE
from voicews import (
    AudioReceived,
    Backoff,
    CallbackError,
    CaptureFinished,
    Connected,
    ConnectFailed,
    DeviceLost,
    DeviceLostError,
    DeviceRestored,
    Disconnected,
    Event,
    FramesDropped,
    Interrupted,
    Message,
    PlaybackFinished,
    PlaybackStarted,
    ReconnectFailed,
    Reconnecting,
    RecordingFailed,
    ResponseDone,
    ResponseStarted,
    RetryPolicy,
    ServerError,
    SessionExpiring,
    SoundOffered,
    SpeechStarted,
    SpeechStopped,
    State,
    StateChanged,
    Stats,
    Token,
    Tool,
    ToolCall,
    ToolCallCancelled,
    Transcript,
    Undelivered,
    Verdict,
    judge,
)
from voicews.commands import Command, ToolResult
from voicews.dialects import Plain, Request, Session
from voicews.history import History
from voicews.testing import steps

Bring = Callable[[Trial], None]


class Talkative(Plain):
    """The plain dialect, and words for what it has none for."""

    @property
    def accepts(self) -> frozenset[type[Command]]:
        return super().accepts | {ToolResult}

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        session = super().begin(previous, history, tools)
        receive, send = session.receive, session.send

        def understand(message: str | bytes) -> list[Event]:
            match receive(message):
                case [Message(data={"call": str(name)})]:
                    return [ToolCall("1", name, {})]
                case [Message(data={"cancel": str(call_id)})]:
                    return [ToolCallCancelled(call_id)]
                case [Message(data={"offer": str(url)})]:
                    return [SoundOffered(url)]
                case [Message(data={"expires": int(seconds)})]:
                    return [SessionExpiring(seconds)]
                case events:
                    return events

        def say(command: Command) -> None:
            if not isinstance(command, ToolResult):
                send(command)

        session.receive, session.send = understand, say  # type: ignore[method-assign]
        return session


# -- in a callback ------------------------------------------------------------------------------------


def closes_in(kind: type[Event], bring: Bring, trial: Trial) -> None:
    """close() in the callback of an event of this kind."""
    closed = threading.Event()

    def close() -> None:
        trial.voice.close()
        trial.voice.close()
        closed.set()

    trial.voice.once(kind, close)
    if not trial.fault.opens:
        trial.open()
        trial.error = None  # opening what is being closed is refused, and rightly
    bring(trial)
    assert closed.wait(PATIENCE)


def nothing(trial: Trial) -> None:
    """It comes by itself."""


def swallow(trial: Trial) -> None:
    """Something is said that the server will never read."""
    trial.server.accepted().freeze()
    said = len(trial.accepted)
    trial.wait_until(lambda: len(trial.accepted) > said + 5, "words")
    cut(trial)


def say(message: dict[str, Any], trial: Trial) -> None:
    trial.server.accepted().send(message)


def cut_for_good(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.proxy.cut()


def run_dry(trial: Trial) -> None:
    """The loudspeaker has nothing to play for a while."""
    connection = trial.server.accepted()
    connection.freeze()
    trial.wait_for(PlaybackFinished)
    connection.thaw()


def break_the_microphone(trial: Trial) -> None:
    def gone() -> bytes | None:
        raise DeviceLostError("unplugged")

    trial.microphone.read = gone  # type: ignore[method-assign]
    trial.wait_for(DeviceLost)
    del trial.microphone.read


def end_the_microphone(trial: Trial) -> None:
    trial.microphone.read = lambda: None  # type: ignore[method-assign]


def in_callback(
    kind: type[Event], bring: Bring = nothing, outcome: Outcome | None = None, **rest: Any
) -> Fault:
    name = f"close() in a callback for {kind.__name__}"
    return Fault(name, partial(closes_in, kind, bring), outcome or Ends(), **rest)


def on_message(kind: type[Event], **message: Any) -> Fault:
    return in_callback(kind, partial(say, message), dialect=Talkative)


CALLBACKS: dict[type[Event], Fault] = {
    StateChanged: in_callback(StateChanged, opens=False),
    Connected: in_callback(Connected, opens=False),
    Disconnected: in_callback(Disconnected, cut),
    Reconnecting: in_callback(Reconnecting, cut),
    ReconnectFailed: in_callback(
        ReconnectFailed,
        cut_for_good,
        Fails(ConnectFailed),
        proxied=True,
        config={"backoff": Backoff(initial=0.05, jitter=0.0, max_attempts=2)},
    ),
    SpeechStarted: on_message(SpeechStarted, type="speech_started"),
    SpeechStopped: on_message(SpeechStopped, type="speech_stopped"),
    Transcript: on_message(Transcript, type="transcript", text="stop"),
    Token: on_message(Token, type="token", text="st"),
    ResponseStarted: on_message(ResponseStarted, type="response_started"),
    ResponseDone: on_message(ResponseDone, type="response_done"),
    AudioReceived: in_callback(AudioReceived),
    SoundOffered: on_message(SoundOffered, offer="http://localhost/answer.wav"),
    PlaybackStarted: in_callback(PlaybackStarted, opens=False),
    PlaybackFinished: in_callback(PlaybackFinished, run_dry),
    Interrupted: on_message(Interrupted, type="interrupted"),
    ToolCall: on_message(ToolCall, call="stop"),
    ToolCallCancelled: on_message(ToolCallCancelled, cancel="1"),
    SessionExpiring: on_message(SessionExpiring, expires=60),
    ServerError: on_message(ServerError, type="error", message="not so important"),
    Message: on_message(Message, type="news"),
    CaptureFinished: in_callback(CaptureFinished, end_the_microphone),
    Undelivered: in_callback(Undelivered, swallow),
    FramesDropped: in_callback(FramesDropped, cut_for_good, proxied=True),
    DeviceLost: in_callback(DeviceLost, break_the_microphone),
    DeviceRestored: in_callback(DeviceRestored, break_the_microphone),
    Stats: in_callback(Stats, config={"stats_interval": 0.1}),
    CallbackError: in_callback(CallbackError, fail_in_a_callback, aloud=True),
}


# -- in what else voicews calls -----------------------------------------------------------------------


class Closing:
    """Closes the client, once, when it is first called after it was armed."""

    def __init__(self) -> None:
        self._trial: Trial | None = None
        self.done = threading.Event()

    def arm(self, trial: Trial) -> None:
        self._trial = trial

    def __call__(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.voice.close()
            self.done.set()


def armed(closing: Closing, bring: Bring, trial: Trial) -> None:
    closing.arm(trial)
    bring(trial)
    assert closing.done.wait(PATIENCE)


def in_the_judge() -> Fault:
    closing = Closing()

    def think(error: BaseException) -> Verdict:
        closing()
        return judge(error)

    config = {"retry": RetryPolicy(think)}
    return Fault("close() in the function that judges", partial(armed, closing, cut), Ends(), config=config)


def in_the_request() -> Fault:
    closing = Closing()

    class Asking(Plain):
        def request(self) -> Request:
            closing()
            return super().request()

    return Fault("close() in the dialect's request()", partial(armed, closing, cut), Ends(), dialect=Asking)


def in_a_tool(trial: Trial) -> None:
    closing = Closing()

    @trial.voice.tool
    def stop() -> str:
        """Stop."""
        closing()
        return "stopped"

    armed(closing, partial(say, {"call": "stop"}), trial)


def in_a_device(device: str, method: str, trial: Trial) -> None:
    closing = Closing()
    it = getattr(trial, device)
    real = getattr(it, method)

    def stop(*arguments: Any) -> Any:
        closing()
        return real(*arguments)

    setattr(it, method, stop)
    armed(closing, nothing, trial)


def in_a_signal_handler(trial: Trial) -> None:
    """SIGTERM, as a service manager sends it, while the main thread waits for the end."""
    before = signal.signal(signal.SIGTERM, lambda *_: trial.voice.close())
    try:
        killer = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
        killer.start()
        assert trial.voice.wait(PATIENCE)
        killer.join()
    finally:
        signal.signal(signal.SIGTERM, before)


ELSEWHERE = [
    in_the_judge(),
    in_the_request(),
    Fault("close() in a tool", in_a_tool, Ends(), dialect=Talkative),
    Fault("close() in the microphone's read()", partial(in_a_device, "microphone", "read"), Ends()),
    Fault("close() in the loudspeaker's write()", partial(in_a_device, "speaker", "write"), Ends()),
    Fault("close() in a signal handler", in_a_signal_handler, Ends()),
]


# -- at any time --------------------------------------------------------------------------------------


def closes_twice(trial: Trial) -> None:
    trial.voice.close()
    trial.voice.close()


def closes_in_threads(count: int, trial: Trial) -> None:
    """Many at once, with nobody first."""
    start = threading.Barrier(count)
    errors: list[BaseException] = []

    def close() -> None:
        start.wait()
        try:
            trial.voice.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=close) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def closes_while_opening(trial: Trial) -> None:
    """Another thread closes while open() waits for a server that says nothing."""
    opener = threading.Thread(target=trial.open)
    opener.start()
    trial.server.connection()
    trial.voice.close()
    opener.join()
    trial.error = None


def closes_while_waiting(trial: Trial) -> None:
    """In the backoff after a drop."""
    cut(trial)
    trial.wait_for(Reconnecting)
    trial.voice.close()
    assert trial.voice.state is State.CLOSED


def closes_on_silence(trial: Trial) -> None:
    """The server is frozen, and can neither read our last words nor answer our Close."""
    trial.server.freeze()
    trial.close()
    trial.server.thaw()


AT_ANY_TIME = [
    Fault("close() twice", closes_twice, Ends()),
    Fault("close() from two threads at once", partial(closes_in_threads, 2), Ends()),
    Fault("close() from eight threads at once", partial(closes_in_threads, 8), Ends()),
    Fault(
        "close() while open() waits",
        closes_while_opening,
        Ends(),
        lambda trial: [steps.stall()],
        opens=False,
    ),
    Fault(
        "close() within the backoff",
        closes_while_waiting,
        Ends(),
        config={"backoff": Backoff(initial=5.0, jitter=0.0)},
    ),
    Fault("close() while the server is frozen", closes_on_silence, Ends()),
    Fault(
        "close() while the server never says its last words",
        Trial.close,
        Ends(),
        dialect=partial(Plain, eof={"type": "over"}),
    ),
]


@pytest.mark.parametrize("fault", [*CALLBACKS.values(), *ELSEWHERE, *AT_ANY_TIME], ids=str)
def test_closing(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The program closes")


def test_each_kind_of_event_has_its_row() -> None:
    public = {getattr(voicews, name) for name in voicews.__all__}
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Event)}
    # A trial records nothing, so no recording of its can fail.
    assert set(CALLBACKS) == kinds - {Event, RecordingFailed}
