"""Recording a conversation: both sides in one sound file, and all that happened beside it."""

from voicews.recording.recorder import Recorder

__all__ = ["Recorder"]
