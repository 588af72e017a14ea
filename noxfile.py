"""The unit tier on each Python that is there and with the oldest dependencies; the speaker on either pygame.

    nox                       all of it; a Python that is not there is skipped
    nox -s unit-3.14          one Python
    nox -s pygame             the loudspeaker's tests with pygame and with pygame-ce
    nox -s dependencies       the lowest versions that setup.cfg allows, and the highest
    nox -s unit-3.11 -- -k wire

Debian's packages bring the interpreters: python3.13 is in trixie, python3.14 and python3.15 are in sid.
The system packages are those of script/bootstrap dev.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import nox

HERE = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
OLDEST = PYTHONS[0]
WORKERS = "3"
RUNTIME = ("cli", "plot", "assistant", "mp3", "testing")
"""The extras that users install; those of development take what is newest."""

nox.needs_version = ">=2024.4"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


def _unit(session: nox.Session, *choice: str) -> None:
    session.run(
        *("python", "-X", "dev", "-W", "error", "-m", "pytest", "-q"),
        *("--tier", "unit", "-n", WORKERS, "--dist", "loadgroup", "-m", "not full and not soak"),
        *(choice or session.posargs),
    )


def _lowest() -> list[str]:
    """Each requirement of voicews and its extras, pinned to the lowest version that setup.cfg allows."""
    settings = configparser.ConfigParser()
    settings.read(HERE / "setup.cfg")
    extras = settings["options.extras_require"]
    wanted = settings["options"]["install_requires"] + "".join(extras[name] for name in RUNTIME)
    lowest: dict[str, tuple[int, ...]] = {}
    markers: dict[str, str] = {}
    for name, version, marker in re.findall(r"^([\w-]+)>=([\d.]+)[^;\n]*(;.*)?$", wanted, re.MULTILINE):
        # One that two extras want has to please both.
        lowest[name] = max(lowest.get(name, ()), tuple(map(int, version.split("."))))
        markers[name] = marker
    return [f"{name}=={'.'.join(map(str, lowest[name]))}{markers[name]}" for name in lowest]


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """The unit tier on one Python."""
    session.install("-e", ".[test]")
    _unit(session)


@nox.session(python=OLDEST)
@nox.parametrize("which", ["pygame", "pygame-ce"])
def pygame(session: nox.Session, which: str) -> None:
    """The loudspeaker on either pygame; both install the same package, so one has to go first."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pip", "uninstall", "-q", "-y", "pygame", "pygame-ce")
    session.install(which)
    speaker = ("tests/audio/test_speaker.py", "tests/sound")
    session.run(
        *("python", "-X", "dev", "-W", "error", "-m", "pytest", "-q", "-m", "not full and not soak", *speaker)
    )


@nox.session(python=OLDEST)
@nox.parametrize("versions", ["lowest", "highest"])
def dependencies(session: nox.Session, versions: str) -> None:
    """The unit tier with the lowest or the highest versions of what users install."""
    session.install("-e", ".[test]", *(_lowest() if versions == "lowest" else ["--upgrade"]))
    _unit(session)
