"""Spoken conversations over one WebSocket, in threads.

::

    from voicews import Transcript, VoiceClient

    voice = VoiceClient("ws://localhost:8765")
    voice.on(Transcript, lambda line: line.final and print(line.role, line))
    voice.run()

Importing the package loads nothing of it yet: the first name that is asked for does.  So
the ``voicews`` command hears Ctrl+C before most of it is there.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it, without the time that typing takes

if TYPE_CHECKING:
    from voicews.backoff import Backoff, RetryPolicy, UntilConnected, Verdict, judge
    from voicews.client import VoiceClient
    from voicews.config import (
        AudioFormat,
        Buffers,
        ClientConfig,
        Limits,
        ProxySettings,
        Timeouts,
        TlsSettings,
    )
    from voicews.errors import (
        AudioError,
        AudioStalled,
        BackendFallback,
        BackendMissing,
        CallbackFailed,
        ConfigError,
        ConnectFailed,
        ConnectionClosed,
        ConnectTimeout,
        DeviceLostError,
        DeviceNotFound,
        FormatUnsupported,
        HandshakeRejected,
        InsecureTls,
        InvalidState,
        KeepaliveTimeout,
        LocalProtocolError,
        MessageTooLarge,
        OutboxFull,
        ProtocolError,
        ProxyFailed,
        RecordingError,
        RemoteProtocolError,
        ServiceError,
        SessionExpired,
        ShutdownTimeout,
        SlowCallback,
        ThreadUnavailable,
        TlsFailed,
        TransportError,
        Unsupported,
        VoicewsError,
        VoicewsWarning,
    )
    from voicews.events import (
        AudioReceived,
        CallbackError,
        CaptureFinished,
        Connected,
        DeviceLost,
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
        ServerError,
        SessionExpiring,
        SoundOffered,
        SpeechStarted,
        SpeechStopped,
        StateChanged,
        Token,
        ToolCall,
        ToolCallCancelled,
        Transcript,
        Undelivered,
        Word,
    )
    from voicews.history import History, Turn
    from voicews.lifecycle import State
    from voicews.recording import Recorder
    from voicews.stats import Stats
    from voicews.tools import Tool

__all__ = [
    "AudioError",
    "AudioFormat",
    "AudioReceived",
    "AudioStalled",
    "BackendFallback",
    "BackendMissing",
    "Backoff",
    "Buffers",
    "CallbackError",
    "CallbackFailed",
    "CaptureFinished",
    "ClientConfig",
    "ConfigError",
    "ConnectFailed",
    "ConnectTimeout",
    "Connected",
    "ConnectionClosed",
    "DeviceLost",
    "DeviceLostError",
    "DeviceNotFound",
    "DeviceRestored",
    "Disconnected",
    "Event",
    "FormatUnsupported",
    "FramesDropped",
    "HandshakeRejected",
    "History",
    "InsecureTls",
    "Interrupted",
    "InvalidState",
    "KeepaliveTimeout",
    "Limits",
    "LocalProtocolError",
    "Message",
    "MessageTooLarge",
    "OutboxFull",
    "PlaybackFinished",
    "PlaybackStarted",
    "ProtocolError",
    "ProxyFailed",
    "ProxySettings",
    "ReconnectFailed",
    "Reconnecting",
    "Recorder",
    "RecordingError",
    "RecordingFailed",
    "RemoteProtocolError",
    "ResponseDone",
    "ResponseStarted",
    "RetryPolicy",
    "ServerError",
    "ServiceError",
    "SessionExpired",
    "SessionExpiring",
    "ShutdownTimeout",
    "SlowCallback",
    "SoundOffered",
    "SpeechStarted",
    "SpeechStopped",
    "State",
    "StateChanged",
    "Stats",
    "ThreadUnavailable",
    "Timeouts",
    "TlsFailed",
    "TlsSettings",
    "Token",
    "Tool",
    "ToolCall",
    "ToolCallCancelled",
    "Transcript",
    "TransportError",
    "Turn",
    "Undelivered",
    "Unsupported",
    "UntilConnected",
    "Verdict",
    "VoiceClient",
    "VoicewsError",
    "VoicewsWarning",
    "Word",
    "judge",
]

# The events before the lifecycle, whose facts have names of their own that are alike.
_HOMES = (
    "errors",
    "backoff",
    "config",
    "stats",
    "history",
    "tools",
    "events",
    "lifecycle",
    "client",
    "recording",
)


def __getattr__(name: str) -> object:
    from voicews.lazy import load

    return load(__name__, name, _HOMES if name in __all__ else ())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
