"""The six promises, checked in the same way for each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.faults.ledger import Frame
from tests.faults.matrix import Ends, Fails, Recovers, Row
from tests.faults.trial import Trial, name_of
from voicews import (
    CallbackError,
    Connected,
    Disconnected,
    ReconnectFailed,
    Reconnecting,
    State,
    StateChanged,
    Undelivered,
    VoicewsError,
)
from voicews.lifecycle import TRANSITIONS

LEISURE = 1.5
"""Seconds that a loaded machine may take beyond what is promised."""
GROWTH = 48 << 20
"""Bytes by which the whole process, server and test included, may grow over one trial."""
AGE = 0.5
"""Seconds of a frame's way through the kernel and the server."""


def check(trial: Trial, family: str) -> Row:
    """All six, after the trial is over."""
    broken = {}
    for name, invariant in _CHECKS.items():
        faults = list(dict.fromkeys(invariant(trial)))
        if faults:
            broken[name] = "; ".join(faults[:5])
    return Row(family, trial.fault.name, str(trial.fault.outcome), trial.back_after, broken)


def _ends(trial: Trial) -> Iterator[str]:
    limit = trial.config.timeouts.close + LEISURE
    if trial.closing > limit:
        yield f"close() took {trial.closing:.1f} s"
    outcome = trial.fault.outcome
    expected = isinstance(outcome, Fails) and isinstance(trial.close_error, outcome.error)
    if trial.close_error is not None and not expected:
        yield f"close() raised {trial.close_error!r}"
    for thread in trial.thread_leaks:
        yield f"the thread {thread} is left"
    for descriptor in trial.descriptor_leaks:
        yield f"the descriptor {descriptor} is left"
    for device in (trial.microphone, trial.speaker):
        if device.closed < device.opened:
            yield f"{type(device).__name__} was opened {device.opened} times, closed {device.closed}"


def _messages(trial: Trial) -> Iterator[str]:
    told = trial.undelivered
    for name in trial.accepted:
        times = trial.ledger.arrivals(name)
        if times > 1:
            yield f"{name!r} arrived {times} times"
        elif not times and name not in told:
            yield f"{name!r} is lost, and nobody was told"
        elif times and told.get(name) is False:
            yield f"{name!r} arrived, though it was told that it could not be sent"
    for name in trial.refused:
        if trial.ledger.arrivals(name):
            yield f"{name!r} arrived, though it was refused"
    names = [name_of(event.command) for event in trial.of(Undelivered)]
    if any(names.count(name) > 1 for name in set(names) & set(trial.accepted)):
        yield "something undelivered was told twice"


def _memory(trial: Trial) -> Iterator[str]:
    yield from trial.overfull
    grown = trial.rss_most - trial.rss_before
    if grown > GROWTH:
        yield f"the process grew by {grown >> 20} MiB"


def _truth(trial: Trial) -> Iterator[str]:
    yield from _states(trial)
    yield from _connections(trial)
    yield from _attempts(trial)
    voice, outcome = trial.voice, trial.fault.outcome
    if isinstance(outcome, Fails):
        if not isinstance(voice.error, outcome.error):
            yield f"the run ended with {voice.error!r}, not {outcome.error.__name__}"
        if trial.error is not None and trial.error is not voice.error:
            yield f"open() raised {trial.error!r}, but the run ended with {voice.error!r}"
    elif voice.error is not None:
        yield f"the run ended with {voice.error!r}"
    if isinstance(outcome, Ends | Recovers) and voice.state is not State.CLOSED:
        yield f"the run ended {voice.state.name}"
    if not trial.fault.aloud and (failed := trial.of(CallbackError)):
        yield f"a callback failed: {failed[0]}"
    told = [type(event) for event in trial.events]
    place = 0
    for kind in trial.fault.told:
        if kind not in told[place:]:
            yield f"{kind.__name__} was not told, or not in its place"
            break
        place = told.index(kind, place) + 1
    if any(later.at < earlier.at - 0.5 for earlier, later in pairwise(trial.events)):
        yield "events came in another order than they happened"


def _states(trial: Trial) -> Iterator[str]:
    changes = trial.of(StateChanged)
    if not changes:
        return
    if changes[0].old not in (State.IDLE, State.CLOSED):
        yield f"the first state told is {changes[0].old.name}"
    for earlier, later in pairwise(changes):
        if later.old is not earlier.new:
            yield f"{earlier} was followed by {later}"
    for change in changes:
        legal = {*TRANSITIONS[change.old].values(), *([State.FAILED] if change.old is State.CLOSING else [])}
        if change.new not in legal:
            yield f"{change} cannot be"
    if changes[-1].new is not trial.voice.state:
        yield f"the last state told is {changes[-1].new.name}, but it is {trial.voice.state.name}"
    # Of that last event, too, a callback can fail.
    if not isinstance(trial.events[-1], StateChanged | CallbackError):
        yield f"{type(trial.events[-1]).__name__} was told after the end"


def _connections(trial: Trial) -> Iterator[str]:
    there: int | None = None
    last = 0
    for event in trial.events:
        match event:
            case Connected(generation=generation):
                if there is not None:
                    yield f"connection {generation} was told before the end of {there}"
                if generation <= last:
                    yield f"connection {generation} was told after {last}"
                there = last = generation
            case Disconnected(generation=generation):
                if there != generation:
                    yield f"the end of connection {generation} was told, but there was {there}"
                there = None
    if there is not None:
        yield f"the end of connection {there} was not told"


def _attempts(trial: Trial) -> Iterator[str]:
    attempt = 0
    longest = trial.config.retry.max_retry_after
    for event in trial.events:
        match event:
            case Connected():
                attempt = -1  # it may begin anew, or not, as the link's life decides
            case Reconnecting(attempt=number, delay=delay, error=error):
                if attempt >= 0 and number != attempt + 1:
                    yield f"attempt {number} followed attempt {attempt}"
                attempt = number
                if not 0 <= delay <= max(trial.config.backoff.cap, longest):
                    yield f"attempt {number} was to come after {delay} s"
                if not isinstance(error, VoicewsError):
                    yield f"the reason of attempt {number} is {error!r}"
    gave_up = trial.of(ReconnectFailed)
    if len(gave_up) > 1 or (gave_up and gave_up[0].error is not trial.voice.error):
        yield "that no attempt is left was told twice, or with another error"


def _audio(trial: Trial) -> Iterator[str]:
    frames = trial.ledger.frames
    if len({frame.number for frame in frames}) < len(frames):
        yield "frames came twice"
    if any(later.number <= earlier.number for earlier, later in _neighbours(trial)):
        yield "frames came out of order"
    oldest = trial.config.buffers.max_audio_age + AGE + trial.fault.transit
    for frame in frames:
        if frame.arrived - frame.captured > oldest:
            age = frame.arrived - frame.captured
            over = f"over connection {frame.connection}"
            yield f"frame {frame.number} was {age:.2f} s old when it arrived {over}"
            break
    outcome = trial.fault.outcome
    if isinstance(outcome, Recovers) and (trial.back_after or 0.0) > outcome.within:
        yield f"sound came {trial.back_after:.2f} s after the fault was over"
    if trial.error is None and trial.voice.state is not State.IDLE:
        yield from _frames_add_up(trial)


def _neighbours(trial: Trial) -> Iterator[tuple[Frame, Frame]]:
    """Frames that came one after the other over the same connection."""
    frames = trial.ledger.frames
    for connection in {frame.connection for frame in frames}:
        yield from pairwise(frame for frame in frames if frame.connection == connection)


def _frames_add_up(trial: Trial) -> Iterator[str]:
    stats = trial.voice.stats()
    dropped = sum(stats.frames_dropped.values())
    if stats.frames_captured != stats.frames_sent + dropped:
        yield (
            f"captured {stats.frames_captured}, sent {stats.frames_sent}, "
            f"dropped {dict(stats.frames_dropped)}"
        )
    arrived = len(trial.ledger.frames)
    if arrived > stats.frames_sent:
        yield f"{arrived} frames arrived, but {stats.frames_sent} were sent"
    holes = sum(later.number - earlier.number - 1 for earlier, later in _neighbours(trial))
    if holes > dropped + trial.silenced:
        yield f"{holes} frames are missing within connections, but {dropped} were dropped"


def _hush(trial: Trial) -> Iterator[str]:
    numbers = [number for _, number in trial.speaker.heard if number]  # 0 is silence
    for earlier, later in pairwise(numbers):
        if later < earlier:
            yield f"sound of connection {later} was heard after that of {earlier}"


_CHECKS: dict[str, Callable[[Trial], Iterator[str]]] = {
    "ends": _ends,
    "messages": _messages,
    "memory": _memory,
    "truth": _truth,
    "audio": _audio,
    "hush": _hush,
}
