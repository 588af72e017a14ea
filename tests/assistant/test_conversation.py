"""What the server's own tests cannot bring about: parts that fail, and turns without end."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.assistant.caller import pcm_of, silence
from tests.patience import PATIENCE
from voicews.assistant.brain import Brain
from voicews.assistant.conversation import AssistantConfig, Conversation, HungUp
from voicews.assistant.ears import Ears
from voicews.assistant.speech import utterances
from voicews.assistant.voice import Voice
from voicews.errors import AudioError, ConfigError
from voicews.history import History

SPEECH = pcm_of(utterances()[0].path)


class Line:
    """A connection without a network."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[str | bytes | None] = queue.Queue()
        self.sent: list[dict[str, Any] | bytes] = []
        self.changed = threading.Condition()
        self.broken = False

    def receive(self, timeout: float | None) -> str | bytes:
        try:
            message = self.inbox.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if message is None:
            raise HungUp("gone")
        return message

    def send(self, message: str | bytes) -> None:
        if self.broken:
            raise HungUp("gone")
        with self.changed:
            self.sent.append(json.loads(message) if isinstance(message, str) else message)
            self.changed.notify_all()

    def tell(self, **message: Any) -> None:
        self.inbox.put(json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if isinstance(message, dict) and message["type"] == kind]

    def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.of(kind)) >= count, PATIENCE), self.sent
            return self.of(kind)[count - 1]


class FakeHearing:
    def __init__(self, ears: FakeEars) -> None:
        self.ears = ears
        self.seconds = 0.0
        self.closed = False

    def feed(self, pcm: bytes, voiced: bool = True) -> None:
        self.seconds += len(pcm) / 32000

    def partial(self) -> str:
        if self.ears.fails:
            raise self.ears.fails
        return f"{round(self.seconds)} seconds"

    def finish(self) -> str:
        return self.partial()

    def close(self) -> None:
        self.closed = True


class FakeEars:
    name = "fake"

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.hearings: list[FakeHearing] = []

    def listen(self) -> FakeHearing:
        self.hearings.append(FakeHearing(self))
        return self.hearings[-1]


class FakeVoice:
    name = "fake"
    rate = 16000

    def __init__(self) -> None:
        self.fails: Exception | None = None

    def say(self, text: str) -> Iterator[bytes]:
        if self.fails:
            raise self.fails
        yield bytes(3200)


Converse = Callable[..., "Party"]


class Party:
    """A conversation under way."""

    def __init__(self, brain: Brain, config: AssistantConfig) -> None:
        self.line, self.ears, self.voice = Line(), FakeEars(), FakeVoice()
        ears: Ears = self.ears
        voice: Voice = self.voice
        self.conversation = Conversation(
            self.line, brain=brain, ears=ears, voice=voice, config=config, name="voicews-test"
        )
        self.thread = threading.Thread(target=self.conversation.run, name="voicews-test", daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.line.inbox.put(None)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def echo(history: History, text: str) -> Iterator[str]:
    yield f"You said {text}."


@contextmanager
def conversing(brain: Brain = echo, **config: Any) -> Iterator[Party]:
    party = Party(brain, AssistantConfig(**config))
    try:
        yield party
    finally:
        party.end()


def test_a_turn_without_end_is_answered_in_parts() -> None:
    with conversing(longest_turn=5.0) as party:
        for _ in range(8):
            party.line.inbox.put(SPEECH[6400:-6400])
        party.line.inbox.put(silence(1.0))
        party.line.wait("response_done", 2)
        heard = [message["text"] for message in party.line.of("transcript") if message["final"]]
        assert heard[:2] == ["5 seconds", "5 seconds"]


def test_a_button_held_too_long_begins_a_new_turn() -> None:
    with conversing(longest_turn=2.0) as party:
        party.line.tell(type="start_of_turn")
        for _ in range(50):
            party.line.inbox.put(silence(0.1))
        party.line.wait("speech_started", 3)
        party.line.wait("speech_stopped", 2)
        party.line.tell(type="end_of_turn")
        party.line.wait("speech_stopped", 3)
        party.line.wait("response_done", 3)


@pytest.mark.parametrize(
    ("failure", "message"),
    [(AudioError("the ears are broken"), "the ears are broken"), (ValueError("secret"), "its log says how")],
)
def test_ears_that_fail_are_told_and_survived(
    failure: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with conversing() as party:
        party.ears.fails = failure
        party.line.inbox.put(SPEECH + silence(1.0))
        error = party.line.wait("error")
        assert error["code"] == "failed"
        assert message in error["message"]
        assert "secret" not in error["message"]
        party.line.tell(type="text", text="hello")
        assert party.line.wait("response_done")["text"] == "You said hello."


def test_a_voice_that_fails_leaves_the_text() -> None:
    with conversing() as party:
        party.voice.fails = AudioError("hoarse")
        party.line.tell(type="text", text="hello")
        assert party.line.wait("response_done")["text"] == "You said hello."
        assert party.line.wait("error")["code"] == "voice_failed"


def test_a_voice_that_fails_otherwise_ends_its_answer() -> None:
    with conversing() as party:
        party.voice.fails = ValueError("a bug")
        party.line.tell(type="text", text="hello")
        assert party.line.wait("response_done")["text"] == "You said hello."
        assert party.line.wait("error")["code"] == "failed"


def test_a_brain_that_will_not_be_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    said = threading.Event()

    def stubborn(history: History, text: str) -> Iterator[str]:
        try:
            for _ in range(1000):
                yield "on and on. "
                said.wait(0.01)
        finally:
            raise ValueError("no")

    with conversing(stubborn) as party:
        party.line.tell(type="text", text="go")
        party.line.wait("token")
        party.line.tell(type="interrupt")
        party.line.wait("response_done")
        party.line.tell(type="text", text="go")
        party.line.wait("response_started", 2)
        party.line.tell(type="interrupt")
        party.line.wait("response_done", 2)
    assert "when it was cut off" in caplog.text


def test_numbers_from_a_brain_are_text_too() -> None:
    def number(history: History, text: str) -> list[Any]:
        return [42]

    with conversing(number) as party:
        party.line.tell(type="text", text="hello")
        assert party.line.wait("response_done")["text"] == "42"


def test_a_turn_that_is_not_finished_is_given_up() -> None:
    with conversing() as party:
        party.line.inbox.put(SPEECH[:-9600])
        party.line.wait("transcript")
        party.conversation.hang_up()
        party.conversation.announce("too late")
    assert [hearing.closed for hearing in party.ears.hearings] == [True]
    assert not party.line.of("response_started")


def test_a_line_that_breaks_while_it_answers() -> None:
    def brain(history: History, text: str) -> Iterator[str]:
        yield "One. "
        party.line.broken = True
        yield "Two. "

    with conversing(brain) as party:
        party.line.tell(type="text", text="hello")
        party.line.wait("token")
        party.conversation._worker.join(PATIENCE)
        assert not party.conversation._worker.is_alive()


def test_without_memory_there_is_no_history() -> None:
    def brain(history: History, text: str) -> str:
        return f"{len(history)}"

    with conversing(brain, history=0) as party:
        for count in (1, 2):
            party.line.tell(type="text", text="hello")
            assert party.line.wait("response_done", count)["text"] == "0"
            party.line.tell(type="truncate", heard_ms=1)


def test_what_was_not_heard_of_an_answer_is_forgotten_and_can_be_corrected() -> None:
    def brain(history: History, text: str) -> str:
        return " | ".join(f"{turn.role}: {turn.text}" for turn in history) or "nothing yet"

    with conversing(brain) as party:
        party.line.tell(type="text", text="a")
        party.line.wait("response_done", 1)
        for heard_ms, remembered in ((0, "user: a"), (60, "user: a | assistant: nothing"), (0, "user: a")):
            party.line.tell(type="truncate", heard_ms=heard_ms)
            party.line.tell(type="unknown")  # answered once the correction is made
            party.line.wait("error", len(party.line.of("error")) + 1)
            turns = party.conversation._history.turns
            assert " | ".join(f"{turn.role}: {turn.text}" for turn in turns) == remembered


@pytest.mark.parametrize(
    "setting",
    [
        {"hangover": 0.0},
        {"partials": 0.0},
        {"longest_turn": 0.5},
        {"history": -1},
        {"backlog": 0},
        {"hangover": float("nan")},
    ],
)
def test_wrong_settings_are_told(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"AssistantConfig.{next(iter(setting))}"):
        AssistantConfig(**setting)
