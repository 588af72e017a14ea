"""A fault that could take the tests along: it is tried in a process of its own.

``python -m tests.faults.apart MODULE NAME`` tries the fault of that name in the module's ``FAULTS``,
and writes its row to stdout.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.faults import matrix
from tests.faults.matrix import Fault, Row
from tests.faults.trial import Trial

ROOT = Path(__file__).parents[2]
_MARK = "row: "


def attempt_apart(
    module: str,
    fault: Fault,
    family: str,
    *,
    environment: Mapping[str, str] | None = None,
    excused: Mapping[str, str] | None = None,
    timeout: float = 90.0,
) -> None:
    """Try it in another process; fails if an invariant does not hold.

    Args:
        module: that which has the fault in its ``FAULTS``, by name.
        excused: invariants that may be broken, and why; the matrix says so.
    """
    excused = excused or {}
    program = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "tests.faults.apart", module, fault.name, family],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        program.send_signal(signal.SIGABRT)  # faulthandler tells where it hangs
        out, err = program.communicate()
    found = [line for line in out.splitlines() if line.startswith(_MARK)]
    if found:
        row = Row(**json.loads(found[0].removeprefix(_MARK)))
        if program.returncode:
            row = dataclasses.replace(row, broken={**row.broken, "ends": f"exit code {program.returncode}"})
    else:
        why = f"the process ended with {program.returncode}: {err.strip()[-300:]}"
        row = Row(family, fault.name, str(fault.outcome), None, {"ends": why})
    broken = {name: excused.get(name, why) for name, why in row.broken.items()}
    matrix.record(dataclasses.replace(row, broken=broken))
    unexcused = [f"{name}: {why}" for name, why in row.broken.items() if name not in excused]
    assert not unexcused, "\n".join([*unexcused, out, err])


def main(module: str, name: str, family: str) -> None:
    """Try one here, and write its row."""
    from tests.faults import invariants

    known = importlib.import_module(module)
    fault: Fault = next(fault for fault in known.FAULTS if fault.name == name)
    kind: type[Trial] = getattr(known, "TRIAL", Trial)
    trial = kind(fault)
    with trial:
        trial.run()
    row = invariants.check(trial, family)
    print(f"{_MARK}{json.dumps(dataclasses.asdict(row))}", flush=True)


if __name__ == "__main__":
    threading.current_thread().name = "apart"
    main(*sys.argv[1:])
