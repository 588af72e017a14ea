"""A token may be anywhere in a request, and must come out nowhere: each dialect, each way to fail, for real.

The token is made anew for each test, so no line of source in a traceback can hold it.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
import logging
import operator
import pickle
import queue
import secrets
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websocket

from tests.line import Line, deaf_port, listening
from tests.patience import PATIENCE
from tests.peer import unused_port
from tests.proxies import running_proxy
from voicews import (
    Backoff,
    Buffers,
    ClientConfig,
    ConfigError,
    Connected,
    Event,
    HandshakeRejected,
    Limits,
    ProxySettings,
    Recorder,
    RetryPolicy,
    Timeouts,
    TlsSettings,
    Tool,
    ToolCall,
    Transcript,
    VoiceClient,
    VoicewsError,
)
from voicews.audio import NullSink, SilenceSource
from voicews.audio.wav import WavSink
from voicews.cli.dialects import names, settings
from voicews.cli.json_lines import JsonLines
from voicews.config import AudioFormat
from voicews.dialects import (
    DeepgramAgent,
    DeepgramListen,
    Dialect,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Vosk,
    WhisperLive,
)
from voicews.testing import FaultServer, steps
from voicews.threads.toolbox import Toolbox

CONFIG = ClientConfig(
    timeouts=Timeouts(connect=0.4, session=0.2, send=0.5, ping_interval=0.1, pong=0.2, close=2.0),
    backoff=Backoff(initial=0.01, cap=0.02, jitter=0.0, max_attempts=1),
)
ROOT = Path(__file__).parents[2]


def _url(server: str, token: str) -> str:
    """The token as name, password and in the query."""
    scheme, _, host = server.partition("://")
    return f"{scheme}://{token}:{token}@{host}/v1?api_key={token}&x={token}"


def _bare(server: str, token: str) -> str:
    """For those that set an Authorization header of their own."""
    return f"{server}/v1?api_key={token}&x={token}"


DIALECTS: dict[str, Callable[[str, str], Dialect]] = {
    "plain": lambda server, token: Plain(
        _url(server, token),
        headers={"X-Api-Key": token, "Cookie": f"a={token}"},
        subprotocols=("voice", f"insecure-api-key.{token}"),
        await_ready=True,
    ),
    "openai": lambda server, token: OpenAIRealtime(
        "m",
        key=token,
        url=_bare(server, token),
        headers={"X-Token": token},
        subprotocols=("realtime", f"openai-insecure-api-key.{token}"),
        options={"tracing": token},
    ),
    "openai, asked": lambda server, token: OpenAIRealtime("m", key=lambda: token, url=_bare(server, token)),
    "gemini": lambda server, token: GeminiLive(
        "m", key=token, url=_bare(server, token), headers={"X-Token": token}
    ),
    "deepgram listen": lambda server, token: DeepgramListen(
        key=token, url=_bare(server, token), headers={"X-Token": token}
    ),
    "deepgram agent": lambda server, token: DeepgramAgent(
        {"type": "custom", "secret": token},
        key=token,
        url=_bare(server, token),
        headers={"X-Token": token},
        options={"agent": {"think": {"endpoint": {"headers": {"authorization": token}}}}},
    ),
    "elevenlabs": lambda server, token: ElevenLabsAgent(
        "agent", key=token, url=_url(server, token), headers={"X-Token": token}, variables={"secret": token}
    ),
    "elevenlabs, signed": lambda server, token: ElevenLabsAgent(
        signed_url=lambda: _bare(server, token), key=token
    ),
    "elevenlabs, private": lambda server, token: ElevenLabsAgent(
        "agent", private=True, key=token, url=_bare(server, token)
    ),
    "home assistant": lambda server, token: HomeAssistantAssist(
        _bare(server, token).replace("/v1", "/api/websocket"), key=token, headers={"X-Token": token}
    ),
    "vosk": lambda server, token: Vosk(_url(server, token), headers={"X-Token": token}),
    "whisper live": lambda server, token: WhisperLive(
        _bare(server, token), key=token, headers={"X-Token": token}, options={"secret": token}
    ),
}

FAULTS: dict[str, Callable[[str], Sequence[Any]]] = {
    "refused": lambda token: [steps.refuse(401, headers={"X-Token": token, "Set-Cookie": f"a={token}"})],
    "refused, echoed in any header": lambda token: [steps.refuse(403, headers={"X-Seen": f"<{token}>"})],
    "busy": lambda token: [steps.refuse(503, headers={"Retry-After": "0"})],
    "echoing status line": lambda token: [
        steps.answer(f"HTTP/1.1 400 {token}\r\nA: b\r\n\r\n{token}".encode())
    ],
    "no HTTP": lambda token: [steps.answer(f"{token}\r\n\r\n".encode())],
    "redirect": lambda token: [steps.redirect(f"ws://{token}@127.0.0.1:1/v1?api_key={token}")],
    "wrong key": lambda token: [steps.accept_wrongly()],
    "strange subprotocol": lambda token: [steps.accept({"Sec-WebSocket-Protocol": f"x.{token}"})],
    "extension": lambda token: [steps.accept({"Sec-WebSocket-Extensions": token})],
    "cut": lambda token: [steps.cut()],
    "reset": lambda token: [steps.reset()],
    "stall": lambda token: [steps.stall()],
    "accepted, then cut": lambda token: [steps.accept(), steps.cut()],
    "accepted, then reset": lambda token: [steps.accept(), steps.reset()],
    "accepted, then silent": lambda token: [steps.accept(), steps.stall_writing()],
    "closed with the token for a reason": lambda token: [
        steps.accept(),
        steps.close(1008, f"bad {token}"),
    ],
    "masked": lambda token: [steps.accept(), steps.masked_frame()],
    "bad UTF-8": lambda token: [steps.accept(), steps.bad_utf8()],
    "oversized": lambda token: [steps.accept(), steps.oversized(1 << 31, 1000)],
}


class Everything:
    """All that voicews shows of itself."""

    def __init__(self, recordings: Path) -> None:
        self.recordings = recordings
        recordings.mkdir()
        self.text = io.StringIO()
        self.raw: list[bytes] = []
        self.handler = logging.StreamHandler(self.text)
        self.handler.setFormatter(logging.Formatter("%(name)s %(threadName)s %(message)s %(args)s"))
        self.lines = JsonLines(self.text)

    def add(self, *things: object) -> None:
        for thing in things:
            print(repr(thing), str(thing), file=self.text)

    def add_event(self, event: Event) -> None:
        self.add(event)
        self.lines.show(event)
        self.add(*[value for value in vars(event).values() if isinstance(value, BaseException)])

    def add_error(self, error: BaseException) -> None:
        """With its causes, its attributes, and what another process would get."""
        print("".join(traceback.format_exception(error)), file=self.text)
        link: BaseException | None = error
        while link is not None:
            self.add(link, link.args, vars(link))
            if isinstance(link, VoicewsError):
                self.raw.append(pickle.dumps(link))
            link = link.__cause__ or link.__context__

    def expose(self, token: str) -> list[str]:
        """The lines that hold the token, as it is or in a spelling of it."""
        basic = base64.b64encode(f"{token}:{token}".encode()).decode()
        spellings = [token, quote(token, safe=""), basic, token.encode().hex()]
        raw = [*self.raw, *(file.read_bytes() for file in self.recordings.iterdir())]
        shown = self.text.getvalue().splitlines() + [data.decode("latin-1") for data in raw]
        return [line for line in shown if any(spelling in line for spelling in spellings)]


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    collector = Everything(tmp_path / "recordings")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(collector.handler)
    websocket.enableTrace(True, handler=collector.handler)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: collector.add(message)
        warnings.simplefilter("always")
        yield collector
    websocket.enableTrace(False)
    logging.getLogger("websocket").removeHandler(collector.handler)
    root.removeHandler(collector.handler)
    root.setLevel(level)


@pytest.fixture
def token() -> str:
    """Like many keys, it has characters that a URL would have to escape in other places."""
    return f"sk-{secrets.token_hex(12)}~.{secrets.token_hex(4)}"


def fail(dialect: Dialect, everything: Everything, config: ClientConfig = CONFIG) -> BaseException:
    """Run a client to its bitter end, and keep all that can be seen of it."""
    recorder = Recorder(everything.recordings)
    voice = VoiceClient(
        dialect, microphone=SilenceSource(), speaker=NullSink(), config=config, recorder=recorder
    )
    everything.add(recorder, dialect, voice, config)
    voice.on(Event, everything.add_event)
    failure: BaseException | None = None
    try:
        voice.run()
    except VoicewsError as error:
        failure = error
        everything.add_error(error)
    everything.add(voice, voice.stats(), voice.state, voice.history)
    with suppress(VoicewsError):
        everything.add(dialect.request())
    assert failure is not None, "it was to fail"
    assert list(everything.recordings.glob("*.jsonl"))
    return failure


def behind(url: str) -> ClientConfig:
    return ClientConfig(timeouts=CONFIG.timeouts, backoff=CONFIG.backoff, proxy=ProxySettings(url=url))


class TestClient:
    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("name", DIALECTS)
    def test_a_failure_tells_nothing(
        self, name: str, fault: str, token: str, everything: Everything, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with FaultServer(FAULTS[fault](token)) as server:
            fail(DIALECTS[name](server.url, token), everything)
            assert server.connections
        everything.add(*capfd.readouterr())
        assert everything.expose(token) == []

    @pytest.mark.parametrize("kind", ["expired", "wrong-name", "self-signed", "unknown-issuer"])
    @pytest.mark.parametrize("name", DIALECTS)
    def test_a_certificate_that_does_not_hold(
        self, name: str, kind: str, token: str, everything: Everything
    ) -> None:
        with FaultServer([steps.accept()], tls=kind) as server:
            config = ClientConfig(
                timeouts=CONFIG.timeouts, backoff=CONFIG.backoff, tls=TlsSettings(ca_file=server.ca_file)
            )
            fail(DIALECTS[name](server.url, token), everything, config)
            assert [connection.path for connection in server.connections] == [""] * len(server.connections)
        assert everything.expose(token) == []

    @pytest.mark.parametrize("name", DIALECTS)
    def test_no_server(self, name: str, token: str, everything: Everything) -> None:
        for url in (f"ws://127.0.0.1:{unused_port()}", "wss://no.such.host.invalid"):
            fail(DIALECTS[name](url, token), everything)
        assert everything.expose(token) == []

    def test_a_server_that_does_not_answer(self, token: str, everything: Everything) -> None:
        with deaf_port() as port:
            fail(DIALECTS["plain"](f"ws://127.0.0.1:{port}", token), everything)
        assert everything.expose(token) == []

    @pytest.mark.parametrize("kind", ["http", "socks5h"])
    @pytest.mark.parametrize("fault", ["refused", "cut", "accepted, then cut", "no HTTP"])
    def test_behind_a_proxy(self, kind: str, fault: str, token: str, everything: Everything) -> None:
        """The proxy's password is another token, and comes out no more than the server's."""
        with (
            FaultServer(FAULTS[fault](token)) as server,
            running_proxy(kind, login=(token, token)) as asked,
        ):
            url = f"{kind}://{token}:{token}@127.0.0.1:{asked.port}"
            fail(DIALECTS["plain"](server.url, token), everything, behind(url))
            assert asked.logins
        assert everything.expose(token) == []

    @pytest.mark.parametrize("kind", ["http", "socks5h"])
    @pytest.mark.parametrize(
        "fault", ["wrong password", "no server", "no proxy", "silent", "echo", "impostor", "endless", "reset"]
    )
    def test_a_proxy_that_fails(self, kind: str, fault: str, token: str, everything: Everything) -> None:
        def script(line: Line) -> None:
            line.sock.recv(65536)
            match fault:
                case "echo":
                    line.write(f"HTTP/1.1 407 {token}\r\nX: {token}\r\n\r\n".encode())
                case "impostor":
                    answer = b"\5\0" if kind == "socks5h" else b"HTTP/1.1 200 OK\r\n\r\n"
                    line.write(answer + token.encode())
                case "endless":
                    line.write(b"\5\2\1" + token.encode() * 1000)
                case "reset":
                    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                case _:
                    line.wait_for_end()

        with ExitStack() as stack:
            if fault in ("wrong password", "no server"):
                login = (token, token if fault == "no server" else "other")
                port = stack.enter_context(running_proxy(kind, login=login)).port
            else:
                port = unused_port() if fault == "no proxy" else stack.enter_context(listening(script)).port
            url = f"{kind}://{token}:{token}@127.0.0.1:{port}"
            server = f"ws://127.0.0.1:{unused_port()}"
            fail(DIALECTS["plain"](server, token), everything, behind(url))
        assert everything.expose(token) == []

    def test_a_key_that_is_sent_as_a_message(self, token: str, everything: Everything) -> None:
        script = [
            steps.accept(),
            steps.send({"type": "auth_required", "ha_version": "2026.1"}),
            steps.listen(count=1),
            steps.send({"type": "auth_invalid", "message": "Invalid access token or password"}),
        ]
        with FaultServer(script) as server:
            fail(DIALECTS["home assistant"](server.url, token), everything)
            [said] = server.connections[0].texts
            assert said["access_token"] == token
        assert everything.expose(token) == []

    def test_a_server_without_tls(self, token: str, everything: Everything) -> None:
        with FaultServer([steps.answer(b"HTTP/1.1 400 Bad\r\n\r\n")]) as server:
            fail(DIALECTS["plain"](f"wss://127.0.0.1:{server.port}", token), everything)
            assert {connection.path for connection in server.connections} == {""}
        assert everything.expose(token) == []

    def test_user_code_that_fails(self, token: str, everything: Everything) -> None:
        """A callback's own words are its own, but ours about it show nothing."""
        with FaultServer([steps.accept(), steps.cut()]) as server:
            dialect = DIALECTS["plain"](server.url, token)
            voice = VoiceClient(dialect, microphone=SilenceSource(), speaker=NullSink(), config=CONFIG)
            voice.on(Event, lambda event: 1 / 0)
            with pytest.raises(VoicewsError) as caught:
                voice.run()
            everything.add_error(caught.value)
        assert "ZeroDivisionError" in everything.text.getvalue()
        assert everything.expose(token) == []

    def test_a_judge_that_fails(self, token: str, everything: Everything) -> None:
        def judge(error: BaseException) -> Any:
            raise KeyError("judge")

        config = ClientConfig(
            timeouts=CONFIG.timeouts, backoff=CONFIG.backoff, retry=RetryPolicy(judge=judge)
        )
        with FaultServer([steps.refuse(503)]) as server:
            fail(DIALECTS["plain"](server.url, token), everything, config)
        assert everything.expose(token) == []


def _does(*_given: object) -> Any:
    """Do it."""
    raise KeyError("it did")


class _Holder:
    """Can be called, holds the token, and shows it, as a dataclass does."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return f"_Holder({self.token!r})"

    def __call__(self, *_given: object) -> Any:
        """Do it."""
        raise KeyError("it did")


HOLDERS: dict[str, Callable[[str], Any]] = {
    "partial": lambda token: functools.partial(_does, token),
    "partial of a partial": lambda token: functools.partial(functools.partial(_does, token), token),
    "partial with wrong arguments": lambda token: functools.partial(_Holder, token, token, token),
    "object": _Holder,
    "its method": lambda token: _Holder(token).__call__,
    "partial of an object": lambda token: functools.partial(_Holder(token), token),
    "methodcaller": lambda token: operator.methodcaller("do", token),
}


@pytest.mark.parametrize("holder", HOLDERS)
class TestCallables:
    """A callable that holds the token is named by its function, wherever one is or might be given."""

    def test_a_callback_that_is_slow_and_raises(
        self, holder: str, token: str, everything: Everything
    ) -> None:
        with FaultServer([steps.accept(), steps.cut()]) as server:
            config = dataclasses.replace(CONFIG, slow_callback=1e-9)
            voice = VoiceClient(
                Plain(server.url),
                microphone=SilenceSource(),
                speaker=NullSink(),
                config=config,
                recorder=Recorder(everything.recordings),
            )
            callback = HOLDERS[holder](token)
            with suppress(ConfigError):
                voice.on(Connected, callback)
                voice.once(Event, callback)
            voice.on(Event, everything.add_event)
            with pytest.raises(VoicewsError) as caught:
                voice.run()
            everything.add_error(caught.value)
            everything.add(voice, voice.stats())
            voice.off(Connected, callback)
        assert everything.expose(token) == []

    def test_a_tool(self, holder: str, token: str, everything: Everything) -> None:
        function = HOLDERS[holder](token)
        answers: queue.Queue[object] = queue.Queue()
        try:
            tool = Tool.of(function, description="Do it.")
        except ConfigError as error:
            everything.add_error(error)
            tool = Tool("do", "Do it.", {}, None if "wrong" in holder else function)
        everything.add(tool, tool.parameters)
        box = Toolbox({tool.name: tool}, answers.put)
        box.call(ToolCall("1", tool.name, {}))
        box.call(ToolCall("2", tool.name, {"x": 1}))
        everything.add(box, *(answers.get(timeout=PATIENCE) for _ in range(2)), *box.alive(10))
        assert everything.expose(token) == []

    def test_a_judge(self, holder: str, token: str, everything: Everything) -> None:
        try:
            config = dataclasses.replace(CONFIG, retry=RetryPolicy(HOLDERS[holder](token)))
        except ConfigError as error:
            everything.add_error(error)
        else:
            with FaultServer([steps.refuse(503)]) as server:
                fail(Plain(server.url), everything, config)
        assert everything.expose(token) == []

    def test_where_something_else_is_wanted(self, holder: str, token: str, everything: Everything) -> None:
        """A slip of the hand, such as two arguments the wrong way round."""
        given = HOLDERS[holder](token)
        voice = VoiceClient("ws://localhost", microphone=SilenceSource(), speaker=NullSink())
        attempts: list[Callable[[], object]] = [
            lambda: VoiceClient(given),
            lambda: VoiceClient("ws://localhost", tools=given),
            lambda: VoiceClient(OpenAIRealtime("m", key="k"), tools=[given, given]),
            *[
                lambda name=name: VoiceClient("ws://localhost", **{name: given})  # type: ignore[misc]
                for name in ("microphone", "speaker", "config", "recorder")
            ],
            lambda: voice.on(given, Transcript),
            lambda: voice.on(Transcript, [given]),
            lambda: voice.send(given),
            lambda: voice.send_text(given),
            lambda: voice.tool(name=given)(print),
            lambda: Tool.of(print, name=given),
            lambda: Tool(given, given, given, given),
            lambda: Tool.of(_hinted(given), name="do", description="Do it."),
            lambda: Tool.of(_hinted([given]), name="do", description="Do it."),
            lambda: Tool.of(_hinted(Enum("Odd", {"A": given})), name="do", description="Do it."),
            *[
                lambda kind=kind, name=field.name, value=value: kind(  # type: ignore[misc]
                    **{**_NEEDED.get(kind, {}), name: value}
                )
                for kind in (*SETTINGS, *DIALECT_KINDS)
                for field in dataclasses.fields(kind)
                if field.init
                for value in (given, [given], {"a": given})
            ],
        ]
        refused = 0
        for attempt in attempts:
            try:
                everything.add(attempt())
            except Exception as error:
                refused += 1
                everything.add_error(error)
        assert refused > 300
        assert everything.expose(token) == []


SETTINGS = (
    AudioFormat,
    Backoff,
    Buffers,
    ClientConfig,
    Limits,
    ProxySettings,
    RetryPolicy,
    Timeouts,
    TlsSettings,
)
DIALECT_KINDS = (
    DeepgramAgent,
    DeepgramListen,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Vosk,
    WhisperLive,
)


_NEEDED: dict[type, dict[str, str]] = {
    DeepgramListen: {"key": "k"},
    HomeAssistantAssist: {"key": "k"},
    GeminiLive: {"model": "m", "key": "k"},
    OpenAIRealtime: {"model": "m", "key": "k"},
    DeepgramAgent: {"think": "m", "key": "k"},
    ElevenLabsAgent: {"agent_id": "a"},
    Plain: {"url": "ws://localhost"},
    Vosk: {"url": "ws://localhost"},
    WhisperLive: {"url": "ws://localhost"},
}
"""Without these, a dialect is refused before it looks at the rest."""


def _hinted(hint: object) -> Callable[..., None]:
    def function(value):  # type: ignore[no-untyped-def]
        """Do it."""

    function.__annotations__ = {"value": hint}
    return function


class TestSettings:
    """What cannot be sent is refused without being shown."""

    @pytest.mark.parametrize("spoiled", ["\r\nX: y", "\0", " ", "\N{SNOWMAN}", "\x7f"])
    @pytest.mark.parametrize("name", DIALECTS)
    def test_a_key_that_cannot_be_sent(
        self, name: str, spoiled: str, token: str, everything: Everything
    ) -> None:
        try:
            Transported.of(DIALECTS[name]("ws://127.0.0.1:1", token + spoiled + token))
        except VoicewsError as error:
            everything.add_error(error)
        assert everything.expose(token) == []


class Transported:
    """Goes as far as the check of the request, which is where bad ones have to end."""

    @staticmethod
    def of(dialect: Dialect) -> None:
        from voicews.handshake import Opening

        Opening.of(dialect.request())
        raise AssertionError("such a request must not be sent")


class TestElsewhere:
    def test_a_redirect_is_not_followed(self, token: str) -> None:
        """Neither to another host, nor from wss to ws, nor to the same."""
        with FaultServer([steps.accept()]) as other, ExitStack() as stack:
            for status in (301, 302, 303, 307, 308):
                first = stack.enter_context(FaultServer([steps.redirect(other.url, status)]))
                with pytest.raises(HandshakeRejected) as caught:
                    VoiceClient(
                        DIALECTS["plain"](first.url, token),
                        microphone=SilenceSource(),
                        speaker=NullSink(),
                        config=CONFIG,
                    ).run()
                assert caught.value.status == status
            assert other.connections == []

    def test_a_cookie_is_not_kept(self, token: str) -> None:
        with FaultServer(
            [steps.accept({"Set-Cookie": f"a={token}; Domain=127.0.0.1"}), steps.cut()]
        ) as server:
            for _ in range(2):
                with pytest.raises(VoicewsError):
                    VoiceClient(
                        server.url, microphone=SilenceSource(), speaker=NullSink(), config=CONFIG
                    ).run()
            assert len(server.connections) >= 3
            for connection in server.connections:
                assert "cookie" not in connection.headers
                assert token not in repr(connection.headers)

    def test_a_recording_holds_sound_only(self, token: str, tmp_path: Path) -> None:
        sound = tmp_path / "answer.wav"
        # Half a second is heard of it before the end, which is silent at once.
        script = [steps.accept(), steps.send(bytes(640)), steps.listen(count=25), steps.close(1008)]
        with FaultServer(script) as server:
            voice = VoiceClient(
                Plain(_url(server.url, token), output_format=AudioFormat(16000)),
                microphone=SilenceSource(),
                speaker=WavSink(sound),
                config=CONFIG,
            )
            with pytest.raises(VoicewsError):
                voice.run()
        assert sound.stat().st_size > 44
        assert token.encode() not in sound.read_bytes()


class TestCommand:
    """`voicews talk`, with all its words."""

    @pytest.mark.parametrize("shape", [[], ["--json", "-vv"]], ids=" ".join)
    @pytest.mark.parametrize(
        "fault", ["refused", "redirect", "cut", "no HTTP", "closed with the token for a reason"]
    )
    def test_neither_stdout_nor_stderr(self, fault: str, shape: list[str], token: str) -> None:
        with FaultServer(FAULTS[fault](token)) as server:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "voicews", "talk", _url(server.url, token), *shape),
                    *("--header", f"X-Api-Key: {token}", "--text", "Hello", "--attempts", "0"),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
                env={"VOICEWS_AUDIO": "null", "PATH": "", "PYTHONFAULTHANDLER": "1"},
                check=False,
            )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr or "-vv" in shape
        assert token not in done.stdout + done.stderr

    def test_an_address_that_is_wrong(self, token: str) -> None:
        for url in (
            f"http://{token}@host/?{token}",
            f"ws://{token}:{token}@/?{token}",
            f"ws://host/?{token}#x",
        ):
            done = subprocess.run(
                [sys.executable, "-m", "voicews", "talk", url, "--header", token, "-vv"],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
                check=False,
            )
            assert done.returncode != 0
            assert token not in done.stdout + done.stderr

    @pytest.mark.parametrize("name", names())
    def test_with_any_dialect(self, name: str, token: str, tmp_path: Path) -> None:
        """The key comes from the environment, and is put into a header as well, and into the query."""
        with FaultServer(FAULTS["refused"](token)) as server:
            path = "/api/websocket" if name.startswith("home") else "/v1"
            needed = {"elevenlabs-agent": "agent_id", "deepgram-agent": "think"}.get(name, "model")
            takes = needed in settings(names()[name])
            words = [] if name in ("vosk", "whisper-live", "deepgram-listen") else ["--text", "Hello"]
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "voicews", "talk", "--dialect", name),
                    f"{server.url}{path}?api_key={token}",
                    *("--header", f"X-Api-Key: {token}", "-vv", "--attempts", "0", *words),
                    *("--record", str(tmp_path / "recorded"), *([f"--set={needed}=x"] if takes else [])),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
                env={
                    "VOICEWS_AUDIO": "null",
                    "PATH": "",
                    **dict.fromkeys(names()[name].key_variables, token),
                },
                check=False,
            )
            assert server.connections, done.stderr
        assert done.returncode != 0
        assert token not in done.stdout + done.stderr
        for file in (tmp_path / "recorded").glob("*"):
            assert token.encode() not in file.read_bytes()

    @pytest.mark.parametrize(
        "given", ["{}", "url={}", "headers={}", "key={}", "rate={}", "nothing={}", "options={}"]
    )
    def test_a_setting_that_is_wrong(self, given: str, token: str) -> None:
        """What cannot be read may be a key that has slipped into the wrong place."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "voicews", "talk", "--dialect", "openai-realtime", "-vv"),
                *("--set", given.format(f"{{{token}")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode != 0
        assert token not in done.stdout + done.stderr
