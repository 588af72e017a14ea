"""``python -m benchmarks``: measure, print the table, and on demand write JSON, page and plots."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks import devices, links, memory, page, reasons, sdks, streams
from benchmarks.results import Measure, commit, load, now, save, table

ROOT = Path(__file__).parents[1]
STORE = ROOT / "docs" / "performance" / "results.json"
PARTS: dict[str, Callable[[bool], dict[str, Measure]]] = {
    "P1 P2 P3 P4": streams.duplex,
    "P4 SDKs": sdks.beside,
    "P5 P6": devices.sound,
    "P7": links.reconnect,
    "P8": links.start,
    "P9": streams.many,
    "P10": streams.busy,
    "P11": memory.flat,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="as the docs have it: takes about 20 minutes")
    parser.add_argument("--only", nargs="+", metavar="P", help="such as --only P1 P7")
    parser.add_argument("--save", action="store_true", help="into docs/performance, with page and plots")
    parser.add_argument("--page", action="store_true", help="only write page and plots again")
    options = parser.parse_args()
    wanted = set(options.only or ())
    if unknown := wanted - {name for names in PARTS for name in names.split()}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    measures = load(STORE)
    if options.page:
        page.write(STORE, measures)
        return 0
    with contextlib.suppress(PermissionError):
        os.nice(-15)  # all processes of the benchmark alike: what else the machine does is not its subject
    # An installed package is compiled, and so shall this one be.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found: dict[str, Measure] = {}
    crashed = []
    for names, measure in PARTS.items():
        if wanted and not wanted & set(names.split()):
            continue
        before, began = os.getloadavg()[0], time.monotonic()
        try:
            new = measure(options.full)
        except Exception:  # noqa: BLE001 - one that crashes must not hide the others
            traceback.print_exc()
            crashed.append(names)
            continue
        for one in new.values():
            one.full, one.made, one.commit = options.full, now(), commit()
            one.load = [round(before, 2), round(os.getloadavg()[0], 2)]
            one.seconds = round(time.monotonic() - began, 1)
        print(f"== {names}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        found |= new
        if options.save:
            save(STORE, load(STORE) | new)
    print(table(found))
    for one in found.values():
        for note in one.notes:
            print(f"{one.name}: {note}")
    missed = reasons.missed(found.values())
    rows = sum(len(one.rows) for one in found.values())
    met = rows - sum(len(one.rows) for one in missed)
    print(f"\n{met} of {rows} goals met; load average now {os.getloadavg()[0]:.1f}")
    if missed:
        print("\nWhat is missed, and why:\n")
        print("\n".join(line for one in missed for line in one.lines()))
    if options.save:
        page.write(STORE, load(STORE))
    if crashed:
        print(f"CRASHED: {', '.join(crashed)}", file=sys.stderr)
    return int(bool(crashed))


if __name__ == "__main__":
    sys.exit(main())
