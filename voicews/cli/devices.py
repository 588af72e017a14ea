"""`voicews devices`: what there is to hear and speak with."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from voicews.audio import Device, devices, loudspeakers
from voicews.cli.arguments import HelpFormatter, add_verbosity
from voicews.cli.failures import EXIT_CODES, OK, brief
from voicews.cli.streams import json_for
from voicews.errors import AudioError

__all__ = ["add_parser", "run"]

_EXAMPLES = f"""\
A device is chosen by its number, or by a part of its name in any case:

  voicews talk ws://localhost:8765 --mic 3 --speaker "usb"

{EXIT_CODES}"""

_ADVICE = """\
Is a sound device plugged in, and is a sound server (PipeWire, PulseAudio) running?
  - in a container: pass /dev/snd on, or the sound server's socket
  - without any device: voicews demo --scripted, or voicews talk with --input and --output"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "devices",
        help="list microphones and loudspeakers",
        description="List microphones and loudspeakers: numbers, names, rates; * marks the default.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object, for scripts")
    parser.add_argument(
        "--no-probe",
        action="store_true",
        help="do not open each device for a moment to find out its rates",
    )
    add_verbosity(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List.

    Raises:
        VoicewsError: a sound library is missing, or the sound system hangs.
    """
    microphones = [device for device in devices(probe=not arguments.no_probe) if device.inputs]
    speakers, trouble = _loudspeakers()
    if arguments.json:
        found = {
            "microphones": [dataclasses.asdict(device) for device in microphones],
            "loudspeakers": [{"index": index, "name": name} for index, name in enumerate(speakers)],
        }
        print(json_for(sys.stdout, json.dumps(found, ensure_ascii=False)))
        return OK
    _print_microphones(microphones)
    print()
    _print_loudspeakers(speakers, trouble)
    if not (microphones and speakers):
        print(f"\n{_ADVICE}")
    return OK


def _loudspeakers() -> tuple[list[str], str]:
    """Their names, and why there are none."""
    try:
        return loudspeakers(), ""
    except AudioError as error:
        return [], brief(error)


def _print_microphones(found: Sequence[Device]) -> None:
    print("Microphones, for --mic")
    if not found:
        print("  none")
        return
    width = min(40, max(len(device.name) for device in found))
    print(f"    no.  {'name':<{width}}  {'system':<10}  channels  rates (Hz)")
    for device in found:
        rates = " ".join(str(rate) for rate in device.input_rates) or f"{device.default_rate}?"
        print(
            f"  {'*' if device.default_input else ' '} {device.index:>3}  {device.name[:width]:<{width}}  "
            f"{device.host_api[:10]:<10}  {device.inputs:>8}  {rates}"
        )


def _print_loudspeakers(found: Sequence[str], trouble: str) -> None:
    print("Loudspeakers, for --speaker")
    if not found:
        print(f"  none: {trouble}" if trouble else "  none")
        return
    print("    no.  name")
    for index, name in enumerate(found):
        print(f"    {index:>3}  {name}")
    print("  Without --speaker the system's default is taken.")
