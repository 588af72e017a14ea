"""The loudspeaker, by way of pygame.mixer.

The mixer takes one sound to play and one to follow it without a gap.  A stream is fed to it
through that one place in the queue, by rules that keep clear of its traps:

- Only ``queue()`` feeds it, also when it is idle.  The obvious "if it is not busy, play" throws
  a queued sound away whenever the mixer's thread is waiting for the interpreter at that moment.
- A sound queued while that thread waits can get stuck; it is recognized and set going.
- The last sounds stay referenced: the mixer's thread may let go of one that is still looked at.
- A piece is no shorter than the mixer's buffer, unless it is the last: two that end within one
  buffer leave no time to queue a third.
- One thread does all this from ``init()`` to ``quit()``; quitting beside it would crash.
- The mixer is ended once: a second ``quit()`` while the first still waits for a device that takes no
  sound would join SDL's thread twice, and never return.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from voicews.audio.base import AudioSink
from voicews.audio.clock import SAME_UTTERANCE, PlaybackClock
from voicews.audio.convert import require_whole_samples
from voicews.audio.inheritance import never_freed
from voicews.audio.pulse import require_loudspeaker
from voicews.audio.quiet import hush, quiet_stderr
from voicews.config import AudioFormat
from voicews.deadline import Deadline
from voicews.descriptors import occupy_standard_descriptors
from voicews.errors import (
    AudioError,
    BackendMissing,
    ConfigError,
    DeviceLostError,
    DeviceNotFound,
    FormatUnsupported,
    InvalidState,
)

if TYPE_CHECKING:
    from pygame.mixer import Sound

__all__ = ["FeedCounters", "Speaker", "loudspeakers"]

log = logging.getLogger(__name__)

_SDL_DEVICES = range(2, 17)
"""The numbers that SDL gives to opened devices; 1 is a relic that pygame does not use."""
_SDL_AUDIO_PLAYING = 1
_QUITTING = 1.0
"""Seconds that a device which has stalled may take to be closed."""

_mixer_lock = threading.Lock()
_mixer_owner: Speaker | None = None
_quitting: threading.Thread | None = None
"""Ends, or has ended, a mixer whose device had stalled."""
_inherited = False
"""True in a child process whose parent had a mixer open."""


@dataclass
class FeedCounters:
    """How the feeding of the mixer went, since the speaker was made."""

    pieces: int = 0
    """Pieces of sound given to the mixer."""
    starved: int = 0
    """Times that the mixer ran dry although there was sound and its thread was in time: a bug of ours."""
    late: int = 0
    """Times that it ran dry because its thread was not run in time."""
    stuck: int = 0
    """Times that a queued sound was stuck and had to be set going."""


class Speaker(AudioSink):
    """Plays on a sound device, without gaps, and is silent at once when told to be.

    The mixer takes the whole process, so there can be one open Speaker at a time, and none
    where the program uses ``pygame.mixer`` for itself; take :class:`PyAudioSpeaker` there.
    A program that ends pygame's mixer while this one plays costs it the device (``DeviceLostError``).  Only
    the C function itself, kept by a program from before voicews was used (``end = pygame.mixer.quit``),
    cannot be made to wait for the playing thread: called then, it may crash the process.

    Call :meth:`pending` at least every 10 ms while there is sound: it feeds the device.

    Args:
        device: None for the system's default, an index into :func:`loudspeakers`, or a part of
            the name in any case.
        buffer_samples: length of the mixer's buffer, a power of two (others are rounded up).
            None takes the shortest of at least 16 ms: 256 at 16 kHz, 512 at 24 kHz, 1024 at
            48 kHz.  Sound is heard, and falls silent, about one and a half buffers later; below
            16 ms a busy machine makes holes, and a slow one is better off with twice as much.
        prebuffer: seconds of sound to gather before an idle device is started; what does not come
            within 30 ms is not waited for.  None takes 20 ms and a buffer.  Each underrun adds
            20 ms to both, up to 80 ms, so that a jittery link makes few holes.

    Attributes:
        underruns: times that the sound ran out and went on within half a second.
        counters: how the feeding went.
    """

    _SHORTEST_BUFFER = 0.016
    _LONGEST_PIECE = 0.2
    _GOOD_PIECE = 0.1
    """Seconds that are queued at once where there is no hurry, half of what is written ahead: a
    thread that is held up has that much time."""
    _GATHERING = 0.03
    """Seconds that the first sound may wait for company; a short answer is played all the same."""
    _CUSHION, _MOST_CUSHION = 0.02, 0.08
    _SLACK = 0.01
    """Seconds within which the next call of pending() is expected."""
    _STALL = 0.5
    """Seconds that a piece may take longer than it lasts before the device counts as lost."""
    _WAKING = 3.0
    """The same for the first piece: an idle HDMI or Bluetooth device, or a sink that nobody reads, may
    take that long to begin."""
    _ENDING = 0.2
    """Seconds that the end of a mixer takes whose device is in order."""
    _KEPT = 32

    def __init__(
        self,
        device: int | str | None = None,
        buffer_samples: int | None = None,
        prebuffer: float | None = None,
    ) -> None:
        if buffer_samples is not None and buffer_samples < 1:
            raise ConfigError(
                f"Speaker's buffer_samples is {buffer_samples!r}; it must be at least 1, or None"
            )
        if prebuffer is not None and not 0 <= prebuffer <= 1:
            raise ConfigError(f"Speaker's prebuffer is {prebuffer!r}; it must be 0 to 1 seconds, or None")
        self._device = device
        self._wanted_buffer = buffer_samples
        self._wanted_prebuffer = prebuffer
        self._pygame: ModuleType | None = None
        # Held for each use of the mixer.  Only what ends the mixer beside its owner contends for it: the
        # interpreter's end, and a program that ends pygame.
        self._in_use = threading.Lock()
        self._owner: threading.Thread | None = None
        # True once the interpreter is ending: the mixer has gone, and nobody must notice.
        self._unheard = False
        # True once the program itself has taken the channel away, or (both) ends the mixer.
        self._taken = self._ended = False
        self._clock = PlaybackClock()
        self.counters = FeedCounters()

    def open(self, format: AudioFormat) -> None:
        """Start the mixer; takes up to 0.5 s the first time, for pygame's import.

        Raises:
            BackendMissing: pygame is not there; the message says how to install it.
            DeviceNotFound: there is no such device.
            DeviceLostError: the sound server does not answer, or the mixer hangs in another thread.
            AudioError: the mixer is in use.
        """
        try:
            self.close()
        except InvalidState as error:
            raise DeviceLostError(
                f"{error}; a mixer that hangs cannot be opened again until it ends", hangs=True
            ) from error
        pygame = _import_pygame()
        _claim(self, pygame)
        with self._in_use:
            try:
                self._start(pygame, format)
            except BaseException:
                _disclaim()
                raise
        log.info("loudspeaker opened: %s, buffer %.1f ms", format, self._buffer * 1000)

    def _start(self, pygame: ModuleType, format: AudioFormat) -> None:
        self._taken = self._ended = False
        name = _find(pygame, self._device)
        _init(pygame, format, self._buffer_samples(format), name)
        if (got := pygame.mixer.get_init()) != (format.rate, -16, format.channels):
            _end_mixer(pygame)
            raise FormatUnsupported(f"the loudspeaker was asked for {format} and gave {got}")
        _set_num_channels(pygame, 1)
        self._pygame = pygame
        self._owner = threading.current_thread()
        # pygame's stubs deny that a channel may have no sound.
        self._channel: Any = pygame.mixer.Channel(0)
        self._format = format
        self._buffer = self._buffer_samples(format) / format.rate
        self.lead = max(0.2, 0.12 + 4 * self._buffer)
        self._prebuffer = 0.02 + self._buffer if self._wanted_prebuffer is None else self._wanted_prebuffer
        self._cushion = 0.0
        self._clock = PlaybackClock(self._buffer + self._SLACK / 2)
        self._waiting = bytearray()
        self._waiting_since = 0.0
        # What the mixer has, first what it plays and then what it has queued, with the seconds.
        self._mixing: deque[tuple[Sound, float]] = deque()
        self._mixed_at = -math.inf
        self._kept: deque[Sound] = deque(maxlen=self._KEPT)
        self._polled_at = time.monotonic()
        self._dry_since = -math.inf
        self._overdue_since: float | None = None
        self._stalled = False
        self._awake = False
        self._plays_on = _watch(pygame)

    def _buffer_samples(self, format: AudioFormat) -> int:
        least = self._wanted_buffer or math.ceil(self._SHORTEST_BUFFER * format.rate)
        return 1 << (least - 1).bit_length()

    def write(self, pcm: bytes) -> None:
        """Take these samples.  Does not block.

        Raises:
            DeviceLostError: the device takes no more sound; close and open again.
            FormatUnsupported: the bytes are not whole samples.
            InvalidState: the speaker is not open in this thread.
        """
        with self._mixer("write"):
            require_whole_samples(pcm, self._format)
            if pcm and not self._unheard:
                self._take(pcm, time.monotonic())

    def _take(self, pcm: bytes, now: float) -> None:
        self._feed(now)
        if now - self._dry_since < SAME_UTTERANCE:
            self.underruns += 1
            self._cushion = min(self._cushion + self._CUSHION, self._MOST_CUSHION)
        self._dry_since = -math.inf
        if not self._waiting:
            self._waiting_since = now
        self._waiting += pcm
        self._clock.add(self._format.seconds(pcm), now)
        self._feed(now)

    def pending(self) -> float:
        """Feed the mixer.  Returns the seconds of written sound that have not been heard.

        Raises:
            DeviceLostError: the device takes no more sound; close and open again.
            InvalidState: the speaker is not open in this thread.
        """
        with self._mixer("pending"):
            now = time.monotonic()
            if not self._unheard:
                self._feed(now)
            pending = self._clock.pending(now)
            return max(pending, 0.001) if self._mixing or self._waiting else pending

    @property
    def position(self) -> float:
        """Seconds of written sound that have been heard.

        Reckoned from the times at which the mixer took up a piece, and good to about one
        buffer; what a sound server or a wireless loudspeaker delays further is not known.
        """
        return self._clock.position(time.monotonic())

    def flush(self) -> float:
        """Be silent: one buffer and the device's own delay later nothing is heard.

        Returns:
            :attr:`position`.

        Raises:
            DeviceLostError: the mixer does not stop.
            InvalidState: the speaker is not open in this thread.
        """
        with self._mixer("flush"):
            self._waiting.clear()
            if not self._unheard:
                self._stop()
            self._dry_since = -math.inf
            return self._clock.forget(time.monotonic())

    def _stop(self) -> None:
        self._require_device()
        # pygame-ce starts the queued sound when the one before is stopped, and so needs it twice.
        for _ in range(8):
            if not self._channel.get_busy() and self._channel.get_queue() is None:
                self._mixing.clear()
                self._overdue_since = None
                return
            self._channel.stop()
        raise DeviceLostError("the loudspeaker went on playing after it was stopped 8 times")

    def close(self) -> None:
        """Be silent and end the mixer.

        A device that has stalled is given a second to end.  If it takes longer, the speaker
        cannot be opened again until it has.

        Raises:
            InvalidState: another thread has it open and still runs.
        """
        if self._pygame is None:
            return
        owner = self._owner
        if owner is not threading.current_thread() and owner is not None and owner.is_alive():
            raise InvalidState(f"the speaker belongs to thread {owner.name!r}, which has to close it")
        with self._in_use:
            self._end()

    def _end(self, *, patiently: bool = False) -> None:
        if self._pygame is None:
            return
        self._clock.forget(time.monotonic())
        pygame, self._pygame = self._pygame, None
        if self._ended:  # or is about to, and what is open next is the program's own
            _disclaim()
        elif self._stalled or patiently:
            _quit_patiently(pygame)
        else:
            _quit(pygame)

    def _end_with_the_interpreter(self) -> bool:
        """End the mixer beside its owner; False if that one, or the mixer itself, hangs."""
        if not self._in_use.acquire(timeout=_QUITTING):
            return False
        try:
            self._waiting.clear()
            self._mixing.clear()
            self._unheard = True
            self._end(patiently=True)
        finally:
            self._in_use.release()
        return _has_quit()

    def _give_up(self, *, ended: bool) -> bool:
        """Use the channel no more, for the program takes it; False if somebody hangs in the mixer."""
        if not self._in_use.acquire(timeout=_QUITTING):
            return False
        try:
            # Silent first: SDL's thread may just be telling a channel, which is freed now, of a sound's end.
            if self._pygame is not None and not self._taken and not self._stalled:
                with contextlib.suppress(DeviceLostError, self._pygame.error):
                    self._stop()
        finally:
            self._taken, self._ended = True, self._ended or ended
            self._in_use.release()
        return _quitting is None or not _quitting.is_alive()

    @contextlib.contextmanager
    def _mixer(self, what: str) -> Iterator[None]:
        """For a use of the mixer by its owner; translates its errors."""
        with self._in_use:
            if self._pygame is None and not self._unheard:
                raise InvalidState(f"{what}() on a Speaker that is not open")
            if self._owner is not threading.current_thread():
                raise InvalidState(f"{what}() on a Speaker that another thread has opened")
            if self._taken:
                raise DeviceLostError(_TAKEN)
            try:
                yield
            except Exception as error:
                if self._pygame is None or not isinstance(error, self._pygame.error):
                    raise
                self._taken = True
                raise DeviceLostError(f"{_TAKEN} ({error})") from error

    # -- feeding ------------------------------------------------------------------------------

    def _feed(self, now: float) -> None:
        """Give the mixer its next piece, if it is time."""
        self._require_device()
        channel = self._channel
        queued = channel.get_queue()
        playing = channel.get_sound()
        if queued is not None and playing is None and channel.get_queue() is not None:
            channel.play(queued)
            self.counters.stuck += 1
            playing = queued
        self._follow(playing, now)
        if queued is None and (playing is None or channel.get_busy()):
            # Otherwise the place is taken, or the mixer's thread is about to tell of the end.
            seconds = self._next_piece(now)
            if seconds > 0:
                self._queue(self._format.bytes(seconds), now)
        self._polled_at = now

    def _follow(self, playing: Sound | None, now: float) -> None:
        """Find out from what the mixer plays how far it has come."""
        if self._mixing and playing is not self._mixing[0][0]:
            while self._mixing and playing is not self._mixing[0][0]:
                self._mixing.popleft()
                if self._mixing:
                    # It was taken up since the last look, or lies in the buffer mixed just then.
                    earliest, latest = self._polled_at, now + self._buffer
                    began = min(max(self._mixed_at, earliest), latest)
                    self._mixed_at = began + self._mixing[0][1]
                    self._correct_clock()
            self._overdue_since = None
            self._awake = True
            if not self._mixing:
                self._ran_dry(now)
        elif self._mixing and now > self._mixed_at + self._buffer:
            self._overdue_since = self._overdue_since or now
            patience = self._STALL if self._awake else self._WAKING
            if now - self._overdue_since > patience:
                self._stalled = True
                raise DeviceLostError(f"the loudspeaker has taken no sound for {patience:g} s")

    def _require_device(self) -> None:
        """Before each use of the channel, which is gone where a quit() that is not ours is at work."""
        assert self._pygame is not None
        mixer, ours = self._pygame.mixer, (self._format.rate, -16, self._format.channels)
        stopped = not self._plays_on()
        if stopped:
            deadline, never = Deadline(self._ENDING), threading.Event()
            while mixer.get_init() == ours and not deadline.passed:
                never.wait(0.01)
        if mixer.get_init() != ours:
            self._taken = self._ended = True
            raise DeviceLostError(_TAKEN)
        if stopped:
            raise DeviceLostError(
                "SDL says that the loudspeaker has stopped: it was unplugged, or its sound server has ended"
            )

    def _ran_dry(self, now: float) -> None:
        if not self._waiting:
            self._dry_since = now
        elif now - self._polled_at > self._buffer:
            self.counters.late += 1
        else:
            self.counters.starved += 1

    def _next_piece(self, now: float) -> float:
        """How many seconds to queue now; 0 to wait for more."""
        waiting = self._format.seconds(self._waiting)
        if not waiting:
            return 0.0
        if not self._mixing:
            waited = now - self._waiting_since
            if waiting < self._prebuffer + self._cushion and waited < self._GATHERING + self._cushion:
                return 0.0
        else:
            left = self._mixed_at - now
            if waiting < self._GOOD_PIECE and left > 2 * self._buffer + self._SLACK:
                return 0.0
            if waiting < self._buffer and left > self._buffer + self._SLACK:
                return 0.0
        # What would be left must make a piece of its own.
        return waiting if waiting < self._LONGEST_PIECE + self._buffer else self._LONGEST_PIECE

    def _queue(self, size: int, now: float) -> None:
        assert self._pygame is not None
        if not self._pygame.mixer.get_num_channels():  # queue() would write beside the channels
            self._taken = True
            raise DeviceLostError(_TAKEN)
        pcm = bytes(self._waiting[:size])
        del self._waiting[:size]
        sound = self._pygame.mixer.Sound(buffer=pcm)
        self._kept.append(sound)
        seconds = self._format.seconds(pcm)
        if not self._mixing:
            self._mixed_at = now + self._buffer / 2 + seconds
        self._mixing.append((sound, seconds))
        self._channel.queue(sound)
        self.counters.pieces += 1
        if len(self._mixing) == 1:
            self._correct_clock()

    def _correct_clock(self) -> None:
        """Tell the clock when the mixer, and a buffer later the listener, will be through."""
        behind = sum(seconds for _, seconds in list(self._mixing)[1:]) + self._format.seconds(self._waiting)
        heard = self._mixed_at + behind + self._buffer
        self._clock.correct(heard - self._SLACK, heard + self._SLACK)

    def __repr__(self) -> str:
        return f"Speaker({'' if self._device is None else repr(self._device)})"


# -- pygame -----------------------------------------------------------------------------------


def _import_pygame() -> ModuleType:
    # Without the first, SDL takes SIGTERM and only tells of it to those who ask for its events.
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
        import pygame.mixer
    except ImportError as error:
        raise BackendMissing(_how_to_install(error)) from error
    if not hasattr(pygame.mixer, "get_init"):
        raise BackendMissing(_how_to_install("its mixer is missing"))
    _guard(pygame)
    occupy_standard_descriptors()
    # pygame would end the mixer before whoever uses it has been told of the interpreter's end.
    atexit.unregister(_plain(pygame.quit))
    hush("libasound.so.2", *_bundled(pygame, "libasound*"))
    return pygame


_TAKEN = "the program has ended pygame.mixer, or its channels, while voicews played on it"
_guarded = False
"""True while pygame would tell us of its quit()."""


def _guard(pygame: ModuleType) -> None:
    """Make the program's own calls that end the mixer wait for the thread that plays.

    They free the channels, and then let other threads run before the mixer says that it has ended: a
    thread that looks at a channel in between would crash the process.
    """
    global _guarded  # noqa: PLW0603 - pygame itself is global
    if not _guarded:  # for a quit() that somebody has kept from before
        _guarded = True
        pygame.register_quit(_pygame_quits)
    for owner, name in ((pygame, "quit"), (pygame.mixer, "quit"), (pygame.mixer, "set_num_channels")):
        plain = getattr(owner, name)
        if _plain(plain) is plain:
            setattr(owner, name, _guarding(pygame, plain))


def _guarding(pygame: ModuleType, plain: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(plain)
    def guarded(*arguments: Any) -> object:
        ended = plain.__name__ == "quit"
        if (ended or arguments == (0,)) and not _give_up_mixer(ended=ended):
            raise pygame.error("voicews plays on the mixer, whose device takes no sound: it would hang")
        return plain(*arguments)

    return guarded


def _plain(function: Callable[..., object]) -> Callable[..., object]:
    """pygame's own function."""
    plain: Callable[..., object] = getattr(function, "__wrapped__", function)
    return plain


def _give_up_mixer(*, ended: bool) -> bool:
    owner = _mixer_owner
    return owner is None or owner._give_up(ended=ended)


def _pygame_quits() -> None:
    global _guarded  # noqa: PLW0603
    _guarded = False
    _give_up_mixer(ended=True)


def _end_mixer(pygame: ModuleType) -> None:
    with quiet_stderr():
        _plain(pygame.mixer.quit)()


def _set_num_channels(pygame: ModuleType, count: int) -> None:
    _plain(pygame.mixer.set_num_channels)(count)


@atexit.register
def _quit_at_exit() -> None:
    """What pygame would have done, but after clients have closed, and not beside a thread that plays.

    Where the mixer hangs, the process ends without it: nobody could wait for that in vain.
    """
    pygame = sys.modules.get("pygame")
    owner = _mixer_owner
    if _inherited:
        return
    if pygame is not None and (owner is None or owner._end_with_the_interpreter()):
        pygame.quit()


def _after_fork() -> None:
    """A child process leaves the parent's mixer alone, even when it ends."""
    global _mixer_lock, _inherited  # noqa: PLW0603
    if _mixer_owner is not None:
        never_freed(_mixer_owner, *_mixer_owner.__dict__.values())
        _inherited = True
    _mixer_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _how_to_install(why: object) -> str:
    # pygame has no release for Python 3.14; pygame-ce takes its place, and does not need GLib.
    if sys.version_info >= (3, 14):
        return f"pygame-ce cannot be loaded ({why}): `pip install pygame-ce`"
    return f"pygame cannot be loaded ({why}): `apt install libglib2.0-0`, then `pip install pygame`"


def _bundled(pygame: ModuleType, pattern: str) -> list[str]:
    """Libraries that pygame's wheel, or pygame-ce's, brings along."""
    site = Path(str(pygame.__file__)).parent.parent
    return sorted(
        str(path) for name in ("pygame.libs", "pygame_ce.libs") for path in (site / name).glob(pattern)
    )


def _claim(speaker: Speaker, pygame: ModuleType) -> None:
    global _mixer_owner  # noqa: PLW0603 - the mixer itself is global
    with _mixer_lock:
        if _mixer_owner is speaker:
            raise DeviceLostError("the mixer hangs, and cannot be opened again until it ends", hangs=True)
        if _mixer_owner is not None:
            raise AudioError("another Speaker has the mixer open, or hangs in it; take PyAudioSpeaker()")
        if pygame.mixer.get_init() is not None:
            raise AudioError("this program uses pygame.mixer for itself; take PyAudioSpeaker() instead")
        _mixer_owner = speaker


def _disclaim() -> None:
    global _mixer_owner  # noqa: PLW0603
    with _mixer_lock:
        _mixer_owner = None


def _quit(pygame: ModuleType) -> None:
    try:
        _end_mixer(pygame)
    finally:
        _disclaim()


def _quit_patiently(pygame: ModuleType) -> None:
    """End a mixer whose device hangs, without hanging with it: nobody uses it any more."""
    global _quitting  # noqa: PLW0603 - the mixer itself is global
    quitting = threading.Thread(target=_quit, args=(pygame,), name="voicews-speaker-quit", daemon=True)
    try:
        quitting.start()
    except RuntimeError as error:  # since Python 3.12 the interpreter's end starts no threads
        log.debug("the mixer is left open: %s", error)
        return
    _quitting = quitting
    if not _has_quit():
        log.warning("the loudspeaker could not be closed within %g s", _QUITTING)


def _has_quit() -> bool:
    if _quitting is not None:
        _quitting.join(_QUITTING)
    return _mixer_owner is None


def _watch(pygame: ModuleType) -> Callable[[], bool]:
    """How to ask whether the mixer still plays to a device.

    SDL lets a mixer whose device has gone go on in silence, and tells of it in an event that
    only a program with a window would see.  So SDL itself is asked, where it can be found.
    """
    import ctypes

    for path in (*_bundled(pygame, "libSDL2-2*"), "libSDL2-2.0.so.0"):
        try:
            # It only looks at two numbers; without the interpreter's lock nothing could be trusted after it.
            status = ctypes.PyDLL(path).SDL_GetAudioDeviceStatus
        except (OSError, AttributeError):
            continue
        for device in _SDL_DEVICES:
            if status(device) == _SDL_AUDIO_PLAYING:
                return lambda: bool(status(device) == _SDL_AUDIO_PLAYING)
    return lambda: True


def _init(pygame: ModuleType, format: AudioFormat, buffer: int, name: str | None) -> None:
    require_loudspeaker()
    try:
        with quiet_stderr():
            pygame.mixer.init(format.rate, -16, format.channels, buffer, devicename=name, allowedchanges=0)
    except (NotImplementedError, ImportError) as error:  # how pygame says that its mixer did not load
        raise BackendMissing(_how_to_install(error)) from error
    except pygame.error as error:
        raise DeviceNotFound(
            f"no loudspeaker could be opened ({error}): connect one, or start the sound server "
            "(PulseAudio, PipeWire); without one: VOICEWS_AUDIO=null in the environment, or NullSink() "
            "from voicews.audio"
        ) from error


def _find(pygame: ModuleType, wanted: int | str | None) -> str | None:
    """The full name of the device that is meant; None for the default."""
    if wanted is None:
        return None
    names = _names(pygame)
    there_are = f"there are: {', '.join(f'{index} ({name})' for index, name in enumerate(names)) or 'none'}"
    if isinstance(wanted, int):
        if not 0 <= wanted < len(names):
            raise DeviceNotFound(f"no loudspeaker has the index {wanted}; {there_are}")
        return names[wanted]
    found = [name for name in names if name.casefold() == wanted.casefold()]
    found = found or [name for name in names if wanted.casefold() in name.casefold()]
    if len(found) != 1:
        what = f"{len(found)} loudspeakers have" if found else "no loudspeaker has"
        raise DeviceNotFound(f"{what} {wanted!r} in the name; {there_are}")
    return found[0]


def _names(pygame: ModuleType) -> list[str]:
    """The devices that SDL knows; it has to be started for that, on the default one."""
    from pygame._sdl2.audio import get_audio_device_names

    _init(pygame, AudioFormat(), 1024, None)
    try:
        return list(get_audio_device_names(False))
    finally:
        _end_mixer(pygame)


def loudspeakers() -> list[str]:
    """The names of the devices that a :class:`Speaker` can play on.

    Raises:
        BackendMissing: pygame is not there; the message says how to install it.
        DeviceNotFound: there is none at all.
        AudioError: the mixer is in use.
    """
    pygame = _import_pygame()
    _claim(Speaker(), pygame)
    try:
        return _names(pygame)
    finally:
        _disclaim()
