"""What happens to packets: a link that is down, a firewall, loss, delay, a black hole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import pytest

from tests.conftest import missing_part
from tests.faults import matrix
from tests.faults.conftest import Try
from tests.faults.matrix import Ends, Fault, Recovers, Row
from tests.faults.netns import SERVER, Cable, Network, NotInstalled, Relay, Unavailable
from tests.faults.trial import NOTICED, Trial
from voicews import Disconnected, FramesDropped, Reconnecting
from voicews.testing import FaultServer

FAMILY = "Packets"
LOST = (Disconnected, Reconnecting)
N = TypeVar("N", bound=Network)


class PacketFault:
    """A fault that needs a network of its own; the rest is as with any fault."""

    def __init__(self, name: str, provoke: Callable[[Any, Trial], None], **rest: Any) -> None:
        self.name = name
        self._provoke = provoke
        self._rest = rest

    def on(self, network: Network) -> Fault:
        return Fault(self.name, partial(_on, network, self._provoke), opens=False, **self._rest)

    def __str__(self) -> str:
        return self.name


def _on(network: Network, provoke: Callable[[Any, Trial], None], trial: Trial) -> None:
    """The server on one host, the client on the other."""
    with network.inside("server"):
        server = FaultServer(trial.serve, host=SERVER)
    try:
        with server:
            trial.url = server.url
            with network.inside("client"):
                trial.open()
            trial.settle()
            provoke(network, trial)
            trial.finish()
    finally:
        network.heal()


def until_lost(network: Network, trial: Trial) -> None:
    trial.wait_for(Reconnecting)
    network.heal()
    trial.heal()


def for_a_while(trial: Trial, seconds: float) -> None:
    goal = trial.microphone.captured + seconds / trial.fault.every
    trial.wait_until(lambda: trial.microphone.captured >= goal, "sound")


# -- a cable ----------------------------------------------------------------------------------------


def unplugged_for_a_moment(cable: Cable, trial: Trial) -> None:
    cable.link(up=False)
    for_a_while(trial, 0.5)
    cable.link(up=True)
    trial.heal()


def unplugged(cable: Cable, trial: Trial) -> None:
    cable.link(up=False)
    trial.wait_for(Reconnecting, 2)
    cable.link(up=True)
    trial.heal()


def dropped(cable: Cable, trial: Trial) -> None:
    cable.drop()
    until_lost(cable, trial)


def dropped_one_way(way: str, cable: Cable, trial: Trial) -> None:
    cable.drop(ways=(way,))
    until_lost(cable, trial)


def dropped_for_long(cable: Cable, trial: Trial) -> None:
    """Also the attempts to come back go into the black hole."""
    cable.drop()
    trial.wait_for(Reconnecting, 3)
    cable.heal()
    trial.heal()


def rejected(cable: Cable, trial: Trial) -> None:
    cable.reject()
    until_lost(cable, trial)


def closes_into_a_black_hole(cable: Cable, trial: Trial) -> None:
    cable.drop()
    trial.close()


BACK = Recovers(3.0)
"""An attempt that went into the black hole may have to time out first."""

CABLE = [
    PacketFault("the cable is out for half a second", unplugged_for_a_moment, outcome=BACK, transit=1.5),
    # What waits for the neighbour's address (ARP) leaves with it, however the socket was closed meanwhile.
    PacketFault("the cable is out, then in", unplugged, outcome=BACK, told=LOST, transit=3.0),
    PacketFault("a black hole while we send", dropped, outcome=BACK, told=LOST),
    PacketFault("a black hole while the line is idle", dropped, outcome=Recovers(4.0), told=LOST, every=0.5),
    PacketFault("a black hole up", partial(dropped_one_way, "INPUT"), outcome=BACK, told=LOST),
    PacketFault("a black hole down", partial(dropped_one_way, "OUTPUT"), outcome=BACK, told=LOST),
    PacketFault("a black hole for all attempts", dropped_for_long, outcome=BACK, told=LOST),
    PacketFault("a firewall that resets", rejected, outcome=BACK, told=LOST),
    PacketFault("close() into a black hole", closes_into_a_black_hole, outcome=Ends()),
]


# -- a relay ----------------------------------------------------------------------------------------


def impaired(settings: Mapping[str, float], relay: Relay, trial: Trial) -> None:
    """For two seconds, and the conversation goes on all the while."""
    for name, value in settings.items():
        setattr(relay, name, value)
    for_a_while(trial, 2.0)
    relay.heal()
    trial.heal()


def bad(**settings: float) -> Callable[[Relay, Trial], None]:
    return partial(impaired, settings)


def narrow(relay: Relay, trial: Trial) -> None:
    relay.rate = 16_000
    trial.wait_for(FramesDropped)
    relay.heal()
    trial.heal()


def black(ways: frozenset[str], relay: Relay, trial: Trial) -> None:
    relay.black = ways
    until_lost(relay, trial)


RELAY = [
    PacketFault("100 ms of delay, 20 ms of jitter", bad(delay=0.1, jitter=0.02), transit=1.5),
    PacketFault("5 % loss, 40 ms of delay", bad(loss=0.05, delay=0.04), transit=2.0),
    PacketFault("20 % loss", bad(loss=0.2), outcome=Recovers(4.0), transit=NOTICED + 2.0),
    PacketFault(
        "10 % of the packets twice, out of order", bad(twice=0.1, delay=0.02, jitter=0.01), transit=1.5
    ),
    PacketFault("5 % of the packets damaged", bad(spoilt=0.05), outcome=Recovers(4.0), transit=2.0),
    PacketFault("128 kbit/s, half of what speech needs", narrow, outcome=Recovers(5.0), transit=5.0),
    PacketFault(
        "a black hole in the middle of the network", partial(black, frozenset({"up", "down"})), outcome=BACK
    ),
]


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable | Unavailable]:
    yield from _made(Cable())


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay | Unavailable]:
    yield from _made(Relay(seed=5))


def _made(network: N) -> Iterator[N | Unavailable]:
    """The network, or why there is none."""
    try:
        network.__enter__()
    except Unavailable as error:
        yield error
        return
    try:
        yield network
    finally:
        network.__exit__()


def _try_on(network: Network | Unavailable, fault: PacketFault, attempt: Try) -> None:
    try:
        if isinstance(network, Unavailable):
            raise network
        attempt(fault.on(network), FAMILY)
    except Unavailable as error:
        matrix.record(Row(FAMILY, fault.name, "", None, {}, skipped=str(error)))
        if isinstance(error, NotInstalled):
            missing_part(str(error))
        pytest.skip(str(error))


@pytest.mark.full
@pytest.mark.parametrize("fault", CABLE, ids=str)
def test_cable(fault: PacketFault, cable: Cable | Unavailable, attempt: Try) -> None:
    _try_on(cable, fault, attempt)


@pytest.mark.full
@pytest.mark.parametrize("fault", RELAY, ids=str)
def test_relay(fault: PacketFault, relay: Relay | Unavailable, attempt: Try) -> None:
    _try_on(relay, fault, attempt)
