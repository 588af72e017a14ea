"""One answer as it goes out: what of it was said, and how much of that has been heard."""

from __future__ import annotations

__all__ = ["Response"]


class Response:
    """Keeps an answer's text beside the sound that was sent for it.

    The client is assumed to begin to play when the first sound is sent, or when it has
    played what was sent before.  Used under its conversation's lock.

    Args:
        playing_until: monotonic time at which the client will have played all that was sent
            before this answer.
        urgent: what has to be said again if hardly any of it was heard.
    """

    def __init__(self, playing_until: float = 0.0, *, urgent: str = "") -> None:
        self.playing_until = playing_until
        self.urgent = urgent
        self.cut = False
        """True once nothing more of it may be sent."""
        self.done = False
        """True once all of it was sent."""
        self.recorded: str | None = None
        """What the history says of it; None if it is not there yet."""
        self.heard_text: str | None = None
        """What was heard of it, if it was cut off; else None."""
        self._text = ""
        self._sentences: list[tuple[str, float]] = []
        self._began = 0.0

    @property
    def text(self) -> str:
        """All that was sent of its text."""
        return self._text.strip()

    @property
    def final_text(self) -> str:
        """What the history should say of it."""
        return self.text if self.heard_text is None else self.heard_text

    def add_text(self, piece: str) -> None:
        """A piece of text was sent."""
        self._text += piece

    def begin_sentence(self, sentence: str) -> None:
        """The sound that follows belongs to this sentence."""
        self._sentences.append((sentence, 0.0))

    def add_sound(self, seconds: float, now: float) -> None:
        """This much sound was sent."""
        if not any(length for _, length in self._sentences):
            self._began = max(now, self.playing_until)
        sentence, length = self._sentences[-1]
        self._sentences[-1] = (sentence, length + seconds)
        self.playing_until = max(now, self.playing_until) + seconds

    def is_audible(self, now: float, margin: float = 0.0) -> bool:
        """Whether the client is still sent, or still plays, some of it."""
        return not self.cut and (not self.done or now < self.playing_until + margin)

    def heard_by(self, now: float) -> str:
        """The words that the client has played by now."""
        return self.heard_after(now - self._began)

    def heard_after(self, seconds: float) -> str:
        """The words in the first so many seconds of its sound."""
        if not any(length for _, length in self._sentences):
            return ""
        heard = []
        for sentence, length in self._sentences:
            if seconds >= length:
                heard.append(sentence)
            elif seconds > 0:
                words = sentence.split()
                if count := round(len(words) * seconds / length):
                    heard.append(" ".join(words[:count]))
            seconds -= length
            if seconds <= 0:
                break
        return " ".join(heard)
