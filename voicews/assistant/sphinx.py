"""Pocketsphinx as ears: only the home helper's sentences, but in little memory and as they are said."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

from voicews.assistant.machine import TO_INSTALL
from voicews.errors import AudioError, BackendMissing

__all__ = ["GRAMMAR", "PocketsphinxEars", "PocketsphinxHearing"]

GRAMMAR = """#JSGF V1.0;
grammar home;
<unit> = one | two | three | four | five | six | seven | eight | nine;
<teen> = ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen;
<tens> = twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety;
<below> = <unit> | <teen> | <tens> [<unit>];
<number> = zero | <below> | (a | <unit>) hundred [[and] <below>];
<operator> = plus | minus | times | divided by | multiplied by;
<sum> = (what is | what's | calculate | how much is) <number> <operator> <number> [<operator> <number>];
<unit_of_time> = second | seconds | minute | minutes | hour | hours;
<length> = (<number> | a | an) <unit_of_time> | half an hour | an hour and a half;
<timer> = (set | start) a timer for <length> | set a <length> timer | how long is left [on my timer]
  | how much time is left | cancel (the timer | my timer | all timers | the <length> timer);
<clock> = what time is it | what is the time | what day is it [today | tomorrow] | what is the date [today]
  | what year is it;
<memory> = remind me what i said first | what did i say [before | first] | what did you say | repeat that
  | say that again | what is my name;
<chat> = hello | good morning | good evening | how are you | who are you | what can you do | help
  | tell me a joke | thank you | thank you goodbye | goodbye | yes | no | stop | okay;
public <turn> = [please] (<sum> | <timer> | <clock> | <memory> | <chat>) [please];
"""
"""What these ears understand, in the Java Speech Grammar Format."""

_REJECT_BELOW = 20.0
_REJECT_WORD_BELOW = -40.0
"""Per frame, 1e5 times the log of how much better the grammar fits than any sequence of sounds.

A grammar alone always finds something in what it hears.  Its own sentences score 57 to 304
(hibari and three voices of flite), single words -14 to 226, other sentences -229 to 44 with
one in ten above.
"""


@dataclass
class _Decoders:
    """One decoder follows the grammar, the other any sounds of the language."""

    grammar: Any
    sounds: Any


class PocketsphinxEars:
    """CMU Pocketsphinx with the acoustic model inside its package and :data:`GRAMMAR`.

    What is not in the grammar is heard as nothing.

    Raises:
        BackendMissing: pocketsphinx is not installed, or lacks its model.
    """

    name = "pocketsphinx (home grammar)"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Decoders] = [self._load()]

    def _load(self) -> _Decoders:
        try:
            import pocketsphinx
        except ImportError as error:
            raise BackendMissing(f"the pocketsphinx ears need: {TO_INSTALL}") from error
        model = pocketsphinx.get_model_path
        try:
            common = {
                "hmm": model("en-us/en-us"),
                "dict": model("en-us/cmudict-en-us.dict"),
                "lm": None,
                "loglevel": "FATAL",
            }
            grammar = pocketsphinx.Decoder(pocketsphinx.Config(**common))
            grammar.add_jsgf_string("home", GRAMMAR)
            grammar.activate_search("home")
            sounds = pocketsphinx.Decoder(
                pocketsphinx.Config(**common, allphone=model("en-us/en-us-phone.lm.bin"))
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendMissing(
                f"pocketsphinx's model cannot be loaded ({error}); "
                "try: pip install --force-reinstall pocketsphinx"
            ) from error
        return _Decoders(grammar, sounds)

    def listen(self) -> PocketsphinxHearing:
        """See :class:`~voicews.assistant.ears.Ears`; each turn at the same time needs 40 MB."""
        with self._lock:
            decoders = self._idle.pop() if self._idle else None
        return PocketsphinxHearing(self, decoders or self._load())

    def _give_back(self, decoders: _Decoders) -> None:
        with self._lock:
            self._idle.append(decoders)


class PocketsphinxHearing:
    """One turn; see :class:`~voicews.assistant.ears.Hearing`."""

    def __init__(self, ears: PocketsphinxEars, decoders: _Decoders) -> None:
        self._ears = ears
        self._decoders: _Decoders | None = decoders
        decoders.grammar.start_utt()
        decoders.sounds.start_utt()

    def feed(self, pcm: bytes, voiced: bool = True) -> None:
        """Take further sound; the work is done here."""
        if self._decoders is None or not pcm:
            return
        try:
            self._decoders.grammar.process_raw(pcm)
            self._decoders.sounds.process_raw(pcm)
        except RuntimeError as error:
            raise AudioError(f"the pocketsphinx ears failed: {error}") from error

    def partial(self) -> str:
        """The words so far."""
        found = self._decoders.grammar.hyp() if self._decoders else None
        return found.hypstr if found else ""

    def finish(self) -> str:
        """All words of the turn; empty if they are not in the grammar."""
        decoders = self._decoders
        if decoders is None:
            return ""
        self.close()
        words, anything = decoders.grammar.hyp(), decoders.sounds.hyp()
        frames = decoders.grammar.n_frames()
        if not words or not words.hypstr or words.score <= 0 or not frames:
            return ""
        if anything and anything.score > 0:
            fit = 1e5 * math.log(words.score / anything.score) / frames
            least = _REJECT_BELOW if " " in words.hypstr else _REJECT_WORD_BELOW
            if fit < least:
                return ""
        return str(words.hypstr)

    def close(self) -> None:
        """Give the decoders back."""
        decoders, self._decoders = self._decoders, None
        if decoders is not None:
            decoders.grammar.end_utt()
            decoders.sounds.end_utt()
            self._ears._give_back(decoders)
