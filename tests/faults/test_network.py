"""What lies between us and the server, and the server's whole process."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from tests.faults.conftest import Try
from tests.faults.matrix import Fails, Fault, Recovers
from tests.faults.processes import ServerProcess
from tests.faults.trial import NOTICED, Trial
from tests.line import deaf_port
from tests.patience import PATIENCE
from tests.peer import unused_port
from voicews import (
    Backoff,
    Connected,
    ConnectFailed,
    ConnectTimeout,
    Disconnected,
    FramesDropped,
    ReconnectFailed,
    Reconnecting,
    StateChanged,
)

LOST = (Disconnected, Reconnecting)


def until_lost(trial: Trial) -> None:
    trial.wait_for(Reconnecting)
    trial.heal()


def for_a_while(trial: Trial, seconds: float) -> None:
    """Let so much be captured."""
    goal = trial.microphone.captured + seconds / 0.02
    trial.wait_until(lambda: trial.microphone.captured >= goal, "sound")


# -- through a proxy ------------------------------------------------------------------------------


def is_cut(trial: Trial) -> None:
    trial.proxy.cut()
    until_lost(trial)


def is_reset(trial: Trial) -> None:
    trial.proxy.reset()
    until_lost(trial)


def is_half_closed(direction: Any, trial: Trial) -> None:
    trial.proxy.half_close(direction)
    until_lost(trial)


def freezes_for_a_moment(direction: Any, trial: Trial) -> None:
    trial.proxy.freeze(direction)
    for_a_while(trial, 0.5)
    trial.proxy.thaw()
    trial.heal()


def freezes(direction: Any, trial: Trial) -> None:
    """Longer than anybody should believe in it."""
    trial.proxy.freeze(direction)
    trial.wait_for(Reconnecting, 2)
    trial.proxy.reset()
    trial.proxy.thaw()
    trial.heal()


def is_slow(trial: Trial) -> None:
    trial.proxy.delay, trial.proxy.jitter = 0.3, 0.2
    for_a_while(trial, 2.0)
    assert not trial.of(Reconnecting)


def is_narrow(trial: Trial) -> None:
    """Half of what speech needs."""
    trial.proxy.rate = 20_000
    trial.wait_for(FramesDropped)
    trial.proxy.heal()
    trial.heal()


def is_spoilt(trial: Trial) -> None:
    trial.proxy.corruption = 0.001
    trial.wait_for(Reconnecting)
    trial.proxy.corruption = 0.0
    trial.heal()


def is_half_closed_within_tls(trial: Trial) -> None:
    """The server gets only the first part of the handshake, and says that this makes no sense."""
    proxy = trial.proxy
    proxy.freeze("down")
    connections = proxy.connections
    proxy.cut()
    with proxy.news:
        assert proxy.news.wait_for(lambda: proxy.connections > connections, PATIENCE)
        told = proxy.bytes_up
        assert proxy.news.wait_for(lambda: proxy.bytes_up > told, PATIENCE)
    proxy.half_close("up")
    proxy.thaw()
    trial.wait_for(Reconnecting, 2)
    trial.heal()


def is_refused(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.proxy.cut()
    trial.wait_for(Reconnecting, 4)
    trial.proxy.admit()
    trial.heal()


def is_reset_at_once(trial: Trial) -> None:
    trial.proxy.drop_new()
    trial.proxy.cut()
    trial.wait_for(Reconnecting, 4)
    trial.proxy.admit()
    trial.heal()


def drops_while_waiting(trial: Trial) -> None:
    """The server dies again while we wait out the first drop."""
    trial.proxy.cut()
    trial.wait_for(Reconnecting)
    trial.server.stop()
    trial.wait_for(Reconnecting, 2)
    trial.server.start()
    trial.heal()


def never_comes_back(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.proxy.cut()


PROXY = [
    Fault("cut", is_cut, proxied=True, told=LOST),
    Fault("reset", is_reset, proxied=True, told=LOST),
    Fault("half closed upwards", partial(is_half_closed, "up"), proxied=True, told=LOST),
    Fault("half closed downwards", partial(is_half_closed, "down"), proxied=True, told=LOST),
    *(
        Fault(
            f"nothing passes {name} for half a second",
            partial(freezes_for_a_moment, way),
            proxied=True,
            transit=0.6,
        )
        for name, way in (("up", "up"), ("down", "down"), ("either way", "both"))
    ),
    Fault("nothing passes any more", partial(freezes, "both"), Recovers(3.0), proxied=True, told=LOST),
    Fault("nothing comes down any more", partial(freezes, "down"), Recovers(3.0), proxied=True, told=LOST),
    Fault("300 to 500 ms later, with jitter", is_slow, proxied=True, transit=1.0),
    Fault("half the speed that speech needs", is_narrow, Recovers(8.0), proxied=True, transit=8.0),
    Fault("bits that turn round, under TLS", is_spoilt, proxied=True, tls="good", told=LOST),
    Fault(
        "half closed upwards within the TLS handshake",
        is_half_closed_within_tls,
        proxied=True,
        tls="good",
        told=(*LOST, Reconnecting, Connected),
    ),
    Fault("new connections are refused", is_refused, proxied=True, told=(*LOST, Reconnecting, Reconnecting)),
    Fault("new connections are reset", is_reset_at_once, proxied=True, told=LOST),
    Fault("dropped again within the backoff", drops_while_waiting, proxied=True, told=(*LOST, Reconnecting)),
    Fault(
        "no server any more, and three attempts",
        never_comes_back,
        Fails(ConnectFailed),
        proxied=True,
        config={"backoff": Backoff(initial=0.05, jitter=0.0, max_attempts=3)},
        told=(*LOST, Reconnecting, Reconnecting, ReconnectFailed, StateChanged),
    ),
]


def opens_meanwhile(trial: Trial, heal: Callable[[], None]) -> None:
    """open() waits through it, as on a device that boots before its network."""
    opener = threading.Thread(target=trial.open)
    opener.start()
    trial.wait_for(Reconnecting, 3)
    heal()
    trial.heal()
    opener.join()


def not_there_yet(trial: Trial) -> None:
    trial.server.stop()
    opens_meanwhile(trial, trial.server.start)


AT_BOOT = [
    Fault(
        "no server at boot, then one appears",
        not_there_yet,
        opens=False,
        told=(Reconnecting, Reconnecting, Reconnecting, Connected),
    ),
]


# -- processes --------------------------------------------------------------------------------------


@contextlib.contextmanager
def process(trial: Trial) -> Iterator[ServerProcess]:
    server = ServerProcess(trial)
    try:
        trial.open()
        trial.settle()
        yield server
        trial.finish()
    finally:
        server.close()


def is_killed(trial: Trial) -> None:
    with process(trial) as server:
        server.kill()
        trial.wait_for(Reconnecting)
        server.start()
        trial.heal()


def is_stopped(trial: Trial) -> None:
    """Until it is noticed; then it goes on, and finds its connection gone."""
    with process(trial) as server:
        server.signal(signal.SIGSTOP)
        trial.wait_for(Reconnecting)
        server.signal(signal.SIGCONT)
        trial.heal()


def is_stopped_for_a_moment(trial: Trial) -> None:
    with process(trial) as server:
        server.signal(signal.SIGSTOP)
        for_a_while(trial, 0.6)
        server.signal(signal.SIGCONT)
        trial.heal()


def is_stopped_and_killed(trial: Trial) -> None:
    with process(trial) as server:
        server.signal(signal.SIGSTOP)
        trial.wait_for(Reconnecting, 2)
        server.kill()
        server.start()
        trial.heal()


PROCESSES = [
    Fault("killed (SIGKILL)", is_killed, opens=False, told=LOST),
    Fault("killed while the line is idle", is_killed, Recovers(2.5), opens=False, every=0.5, told=LOST),
    Fault("frozen (SIGSTOP) while we send", is_stopped, opens=False, told=LOST, transit=NOTICED + 1.0),
    Fault(
        "frozen while the line is idle",
        is_stopped,
        Recovers(2.5),
        opens=False,
        every=0.5,
        told=LOST,
        transit=NOTICED + 1.0,
    ),
    Fault("frozen for a moment", is_stopped_for_a_moment, opens=False, transit=0.6),
    Fault("frozen, then killed, then started", is_stopped_and_killed, opens=False, told=LOST),
]


# -- names and addresses ------------------------------------------------------------------------------

NAME = "voice.test"
Answer = Callable[[int], list[Any]]


@contextlib.contextmanager
def resolving(answer: Answer) -> Iterator[None]:
    """The name is looked up here; what ``answer`` raises is what the resolver says."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any) -> Any:
        if host != NAME:
            return real(host, port, *rest)
        if rest[3] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "it is a name")
        return answer(port)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


def address(port: int, host: str = "127.0.0.1") -> Any:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = (host, port, 0, 0) if ":" in host else (host, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)


def name_fails(code: int, trial: Trial) -> None:
    """The resolver is away when the connection drops, and comes back later."""
    away = False

    def answer(port: int) -> list[Any]:
        if away:
            raise socket.gaierror(code, "the resolver is away")
        return [address(port)]

    trial.url = f"ws://{NAME}:{trial.proxy.port}"
    with resolving(answer):
        trial.open()
        trial.settle()
        away = True
        trial.proxy.cut()
        trial.wait_for(Reconnecting, 4)
        away = False
        trial.heal()
        trial.finish()


def name_fails_at_boot(trial: Trial) -> None:
    away = True

    def answer(port: int) -> list[Any]:
        if away:
            raise socket.gaierror(socket.EAI_AGAIN, "the network is not up")
        return [address(port)]

    def come_up() -> None:
        nonlocal away
        away = False

    trial.url = f"ws://{NAME}:{trial.server.port}"
    with resolving(answer):
        opens_meanwhile(trial, come_up)
        trial.finish()


def name_moves(trial: Trial) -> None:
    """The server comes back at another address."""
    ports = [trial.proxy.port]
    trial.url = f"ws://{NAME}:80"
    with resolving(lambda _: [address(ports[0])]):
        trial.open()
        trial.settle()
        trial.proxy.refuse()
        trial.proxy.cut()
        trial.wait_for(Reconnecting, 2)
        ports[0] = trial.server.port
        trial.heal()
        trial.finish()


def name_hangs(trial: Trial) -> None:
    """The resolver says nothing, for longer than a whole connection may take."""
    hangs = False

    def answer(port: int) -> list[Any]:
        if hangs:
            trial.wait_until(lambda: not hangs, "the resolver", 5.0)
        return [address(port)]

    trial.url = f"ws://{NAME}:{trial.proxy.port}"
    with resolving(answer):
        trial.open()
        trial.settle()
        hangs = True
        trial.proxy.cut()
        assert isinstance(trial.wait_for(Reconnecting, 2).error, ConnectTimeout)
        hangs = False
        trial.heal()
        trial.finish()


def first_address_is_dead(kind: str, trial: Trial) -> None:
    """An address that refuses, or one that says nothing, comes before the good one."""
    trial.url = f"ws://{NAME}:80"
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(deaf_port()) if kind == "deaf" else unused_port()
        stack.enter_context(resolving(lambda _: [address(port), address(trial.proxy.port)]))
        trial.open()
        trial.settle()
        trial.proxy.cut()
        trial.wait_for(Reconnecting)
        trial.heal()
        trial.finish()


NAMES = [
    Fault("the resolver fails, then heals", partial(name_fails, socket.EAI_AGAIN), opens=False, told=LOST),
    Fault("the name is gone, then there", partial(name_fails, socket.EAI_NONAME), opens=False, told=LOST),
    Fault("no resolver at boot, then there", name_fails_at_boot, opens=False, told=(Reconnecting, Connected)),
    Fault("the resolver says nothing", name_hangs, opens=False, told=LOST),
    Fault("the name leads elsewhere now", name_moves, opens=False, told=LOST),
    Fault("the first address refuses", partial(first_address_is_dead, "refusing"), opens=False, told=LOST),
    Fault("the first address is silent", partial(first_address_is_dead, "deaf"), opens=False, told=LOST),
]


def _named(faults: Sequence[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=str)


@_named([*PROXY, *AT_BOOT])
def test_proxy(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The way is bad")


@_named(PROCESSES)
def test_processes(fault: Fault, attempt: Try) -> None:
    attempt(fault, "The server's process")


@_named(NAMES)
def test_names(fault: Fault, attempt: Try) -> None:
    attempt(fault, "Names and addresses")
