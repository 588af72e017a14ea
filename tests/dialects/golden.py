"""Golden transcripts: whole conversations, line by line, that a dialect has to go through exactly.

A file is a list of JSON objects with one member each.  What happens:

- ``{"begin": {…}}``: a connection; the session before it, if any, was lost.  Its tools may be given.
- ``{"server": {…}}`` or ``{"server binary": "base64"}``: the server says something.
- ``{"do": {"SendText": {"text": "…"}}}``: the client is given a command; sound is in base64.
- ``{"collected": {"pcm": "base64", "rate": 16000}}`` or ``{"collected": {"error": "…"}}``: what became of
  the newest offer.
- ``{"tick": 3}``: the session's clock; ``{"finish": {}}``: nothing more will come.

And what has to follow from it, in this order, before the next thing happens:

- ``{"event": {"Transcript": {"role": "user", "text": "…"}}}``: fields that have their default are left out.
- ``{"client": {…}}`` or ``{"client binary": "base64"}``: what goes to the server.
- ``{"raises": {"ServiceError": {"code": "…", "fatal": true}}}``: the connection ends with this error.
- ``{"is": {"ready": true, "finished": false}}``: what can be asked of the session.

``{"note": "…"}`` is for the reader.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

from voicews import commands
from voicews.config import AudioFormat
from voicews.dialects import Dialect, Session
from voicews.dialects.base import Sound
from voicews.errors import ConnectFailed, VoicewsError
from voicews.events import Event, SoundOffered, Transcript
from voicews.history import History
from voicews.tools import Tool

__all__ = ["Stage", "happenings", "replay"]

DATA = Path(__file__).parent / "data"


def replay(dialect: Dialect, name: str) -> History:
    """Go through ``data/NAME.jsonl``; returns what is remembered at its end.

    Raises:
        AssertionError: something else followed than the file says; the message names the line.
    """
    stage = Stage(dialect)
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            stage.play(f"{name}.jsonl:{number}", json.loads(line))
    stage.expect_nothing("the end")
    return stage.history


def happenings(name: str) -> list[tuple[str, Any]]:
    """What happens in ``data/NAME.jsonl``, without what has to follow from it: kinds of lines and values."""
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [item for line in lines if line.strip() for item in json.loads(line).items()]
    return [item for item in found if item[0] not in _EXPECTED]


_EXPECTED = ("note", "is", "event", "client", "client binary", "raises")


class Stage:
    """The session, and what followed from what happened last."""

    def __init__(self, dialect: Dialect) -> None:
        self.history = History()
        self._dialect = dialect
        self._session: Session | None = None
        self._offers: list[SoundOffered] = []
        self._followed: list[dict[str, Any]] = []

    def play(self, where: str, line: dict[str, Any]) -> None:
        [(kind, value)] = line.items()
        match kind:
            case "note":
                return
            case "is":
                for name, wanted in value.items():
                    assert getattr(self._session, name) is wanted, f"{where}: {name} is {not wanted}"
            case "event" | "client" | "client binary" | "raises":
                assert self._followed, f"{where}: nothing followed, but {line}"
                assert self._followed.pop(0) == line, where
            case _:
                self.expect_nothing(where)
                self.happen(kind, value)

    def take(self) -> list[dict[str, Any]]:
        """What has followed since one last looked."""
        followed, self._followed = self._followed, []
        return followed

    @property
    def session(self) -> Session:
        """The present one."""
        assert self._session is not None
        return self._session

    def copy(self) -> Stage:
        """Another one, at the same point of the conversation."""
        other = Stage(self._dialect)
        parts = (self._session, self._offers, self._followed)
        other._session, other._offers, other._followed = deepcopy(parts, {id(self._dialect): self._dialect})
        other.history = History(turns=self.history.turns)
        return other

    def expect_nothing(self, where: str) -> None:
        assert self._followed == [], f"before {where}"

    def happen(self, kind: str, value: Any) -> None:
        """A line's kind and value, without what has to follow."""
        if kind == "begin":
            tools = [Tool(**tool) for tool in value.get("tools", ())]
            self._session = self._dialect.begin(self._session, self.history, tools)
        assert self._session is not None
        match kind:
            case "server":
                self._hear(self._session, json.dumps(value))
            case "server binary":
                self._hear(self._session, base64.b64decode(value))
            case "do":
                [(name, fields)] = value.items()
                self._session.send(_command(name, fields))
                if name == "SendText":
                    self.history.add("user", fields["text"])
            case "collected":
                if self._offers:  # else it was lost
                    self._tell(self._session.collected(self._offers[-1], _sound(value)))
            case "tick":
                self._tell(self._session.tick(value))
            case "finish":
                self._session.finish()
            case _:
                assert kind == "begin", f"{kind} is no kind of line"
        for message in self._session.messages_to_send():
            if isinstance(message, str):
                self._followed.append({"client": json.loads(message)})
            else:
                self._followed.append({"client binary": base64.b64encode(message).decode()})

    def _hear(self, session: Session, message: str | bytes) -> None:
        try:
            events = session.receive(message)
        except VoicewsError as error:
            self._followed.append({"raises": {type(error).__name__: vars(error)}})
            return
        self._tell(events)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, SoundOffered):
                self._offers.append(event)
            self._followed.append({"event": {type(event).__name__: _fields(event)}})
            if isinstance(event, Transcript) and event.final:
                self.history.add(event.role, event.text, instead_of=event.replaces)


def _sound(told: dict[str, Any]) -> Sound | VoicewsError:
    if "error" in told:
        return ConnectFailed(told["error"])
    return base64.b64decode(told["pcm"]), AudioFormat(told["rate"])


def _command(name: str, fields: dict[str, Any]) -> commands.Command:
    if name == "SendAudio":
        fields = {"pcm": base64.b64decode(fields["pcm"]), "at": fields.get("at", 0.0)}
    command: commands.Command = getattr(commands, name)(**fields)
    return command


def _fields(event: Event) -> dict[str, Any]:
    """Those that count in comparisons and do not have their default."""
    return {
        field.name: _plain(getattr(event, field.name))
        for field in dataclasses.fields(event)
        if field.compare and getattr(event, field.name) != field.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, AudioFormat):
        return str(value)
    return value
