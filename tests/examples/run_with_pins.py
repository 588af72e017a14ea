"""Run a script on gpiozero's mock pins, moved by lines on the standard input.

`press 17` and `release 17` move a pin as a button to ground would; `await 27` prints `27 is on` once it is.
"""

from __future__ import annotations

import runpy
import sys
import threading

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

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
                while not pin.state:
                    _never.wait(0.01)
                print(f"{number} is on", flush=True)


if __name__ == "__main__":
    Device.pin_factory = MockFactory()
    threading.Thread(target=_obey, daemon=True).start()
    runpy.run_path(sys.argv[1], run_name="__main__")
