"""Fuzz with atheris (``pip install -e '.[fuzz]'``), guided by which branches an input reaches.

::

    python -m tests.fuzz                        names what can be fuzzed
    python -m tests.fuzz gemini_live            fuzzes it for ten minutes
    python -m tests.fuzz --seconds 60 frames
    python -m tests.fuzz --keep FOLDER frames   takes the inputs of FOLDER that reach most into the corpus

An input that breaks a promise is written to a file ``crash-…``, which the last lines name; give that to
``--replay`` to see it again.  It belongs into ``FOUND`` of ``test_corpora.py`` once it is mended.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import voicews

LONGEST = 4096
"""Bytes of an input."""


def dictionary(module: str) -> Iterable[str]:
    """The words of a module's source, as libFuzzer takes them."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value.encode("utf-8", "surrogatepass")
            if 0 < len(word) <= 40 and b" " not in word:
                yield '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


def fuzz(name: str, seconds: int, folder: Path, arguments: list[str]) -> None:
    """Run until the time is over, or a promise is broken."""
    import atheris

    with atheris.instrument_imports(include=["voicews", "websocket", "json"]):
        from tests.fuzz.targets import CORPORA, TARGETS, corpus
    target = TARGETS[name]
    for index, data in enumerate(
        [*target.seeds(), *(corpus(name) if (CORPORA / f"{name}.txt").exists() else [])]
    ):
        (folder / f"seed-{index:04}").write_bytes(data[:LONGEST])
    words = folder.parent / f"{name}.dict"
    words.write_text("\n".join(sorted(set(dictionary(target.module)))), encoding="ascii")
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-dict={words}", "-timeout=10"]
    atheris.Setup([sys.argv[0], *options, *arguments, str(folder)], target.run)
    atheris.Fuzz()


def reached(run: Any, data: bytes) -> set[tuple[str, int, int]]:
    """The steps from line to line within voicews that an input leads to."""
    package = str(Path(voicews.__file__).parent)
    steps: set[tuple[str, int, int]] = set()
    last: dict[int, int] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(package):
            return None
        if event == "line":
            steps.add((frame.f_code.co_filename, last.get(id(frame), 0), frame.f_lineno))
            last[id(frame)] = frame.f_lineno
        elif event == "call":
            last.pop(id(frame), None)
        return trace

    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return steps


def keep(name: str, folder: Path) -> None:
    """Write the few inputs that together reach all that those of the folder, and the corpus, reach."""
    from tests.fuzz.targets import CORPORA, TARGETS, corpus, to_line

    target, file = TARGETS[name], CORPORA / f"{name}.txt"
    inputs = {path.read_bytes() for path in folder.iterdir()} | set(corpus(name) if file.exists() else ())
    missing = {data: reached(target.run, data) for data in sorted(inputs, key=lambda data: (len(data), data))}
    kept = []
    while missing:
        best = max(missing, key=lambda data: len(missing[data]) / (40 + len(data)))
        if not (found := missing.pop(best)):
            break
        kept.append(best)
        missing = {data: rest for data, steps in missing.items() if (rest := steps - found)}
    file.write_text("".join(f"{to_line(data)}\n" for data in sorted(kept)), encoding="ascii")
    print(f"{name}: kept {len(kept)} of {len(inputs)} inputs, {sum(map(len, kept))} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz voicews with atheris.")
    parser.add_argument("name", nargs="?", help="what to fuzz; names all if it is left out")
    parser.add_argument("--seconds", type=int, default=600, help="how long (default 600)")
    parser.add_argument(
        "--inputs", type=Path, help="folder for the inputs that are found (default: thrown away)"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="do not fuzz; make the corpus from this one"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="do not fuzz; run this one input")
    options, arguments = parser.parse_known_args()
    if options.name is None:
        from tests.fuzz.targets import TARGETS

        print(*TARGETS, sep="\n")
    elif options.keep is not None:
        keep(options.name, options.keep)
    elif options.replay is not None:
        from tests.fuzz.targets import TARGETS

        TARGETS[options.name].run(options.replay.read_bytes())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.inputs or Path(scratch) / "inputs"
            folder.mkdir(parents=True, exist_ok=True)
            fuzz(options.name, options.seconds, folder, arguments)


if __name__ == "__main__":
    main()
