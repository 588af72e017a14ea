"""Run a script on gpiozero's mock pins, moved by lines on the standard input.

`press 17` and `release 17` move a pin as a button to ground would; `await 27` prints `27 is on` once it was,
`dark 27` prints `27 is dark` once nothing lets it shine or blink any more, or `27 was never on`.
"""

from __future__ import annotations

import runpy
import sys
import threading

from gpiozero import Device
from gpiozero.mixins import HoldThread
from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.threads import GPIOThread

_never = threading.Event()


def _obey() -> None:
    for line in sys.stdin:
        verb, number = line.split()
        pin = Device.pin_factory.pin(int(number))
        match verb:
            case "press":
                pin.drive_low()
            case "release":
                pin.drive_high()
            case "await":
                while not _shone(pin):
                    _never.wait(0.01)
                print(f"{number} is on", flush=True)
            case "dark":
                while pin.state or _blinking():
                    _never.wait(0.01)
                print(f"{number} is dark" if _shone(pin) else f"{number} was never on", flush=True)


def _shone(pin: MockPin) -> bool:
    return any(moment.state for moment in pin.states)


def _blinking() -> bool:
    threads = (thread for thread in threading.enumerate() if isinstance(thread, GPIOThread))
    return any(not isinstance(thread, HoldThread) for thread in threads)


if __name__ == "__main__":
    Device.pin_factory = MockFactory()
    threading.Thread(target=_obey, daemon=True).start()
    runpy.run_path(sys.argv[1], run_name="__main__")
