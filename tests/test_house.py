"""What the house is built on: floors, names, exports, and the habits that no single test can see."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import voicews

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "voicews"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 1000
"""Lines; a longer file does more than one job."""

FLOORS: list[tuple[str, ...]] = [
    (
        *("lazy", "printable", "extras", "errors", "callables", "starting", "deadline", "systemd"),
        "descriptors",
    ),
    ("backoff", "config", "buffers", "riff"),
    ("history", "json_hints", "tools", "lifecycle", "commands", "events", "stats"),
    ("tls", "proxy", "wire", "dialects", "audio"),
    ("handshake", "transport"),
    ("threads",),
    ("recording", "client"),
    ("",),  # voicews/__init__.py: the public names
    ("assistant", "timeline", "cli", "testing", "__main__"),
]
"""From the cellar up.  A module imports from floors below, or from those before it on its own."""

ASSISTANT_KNOWS = {"errors", "extras", "deadline", "config", "buffers", "history", "audio"}
"""The local server is a peer of the client: it must not share the rules that it is to prove."""

ONLY = {
    "websocket": {"transport", "handshake"},
    "pyaudio": {"audio.portaudio"},
    "pygame": {"audio.speaker"},
    "rich": {"cli.bench_screen", "cli.screen"},
    "matplotlib": {"cli.bench_plot", "timeline.drawing"},
    "soundfile": {"dialects.file_sound"},
}
"""Who may import which library, at whatever depth."""


def name_of(file: Path) -> str:
    """``voicews/audio/wav.py`` is ``audio.wav``; ``voicews/__init__.py`` is the empty name."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(file): ast.parse(file.read_text(encoding="utf-8"), str(file)) for file in FILES}
MODULES = sorted(TREES)


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from outside_functions(node)


def imported(nodes: Iterator[ast.AST], module: str) -> set[str]:
    """Full names; a relative import has no place here."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module or 'voicews'} imports relatively"
            source = node.module or ""
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                names.add(inner if inner.removeprefix("voicews.") in TREES else source)
    return names


def own_imports(nodes: Iterator[ast.AST], module: str) -> set[str]:
    names = {name for name in imported(nodes, module) if name.split(".")[0] == "voicews"}
    return {name.removeprefix("voicews").removeprefix(".") for name in names}


def place(module: str) -> tuple[int, int]:
    """Floor, and place on it."""
    top = module.split(".", maxsplit=1)[0]
    for floor, rooms in enumerate(FLOORS):
        if top in rooms:
            return floor, rooms.index(top)
    raise AssertionError(f"voicews/{module} has no floor: give it one in FLOORS")


# -- who knows whom ------------------------------------------------------------------------------


def test_imports_lead_downstairs() -> None:
    wrong = [
        f"{module} must not know {other}"
        for module in MODULES
        for other in own_imports(ast.walk(TREES[module]), module)
        if other.split(".")[0] != module.split(".", maxsplit=1)[0] and place(other) >= place(module)
    ]
    assert wrong == []


def test_no_module_knows_itself_through_others() -> None:
    graph = {module: own_imports(outside_functions(TREES[module]), module) - {module} for module in MODULES}
    done: set[str] = set()

    def follow(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for other in graph.get(module, ()):
                follow(other, (*way, module))
            done.add(module)

    for module in MODULES:
        follow(module, ())


def test_the_assistant_is_a_stranger_to_the_client() -> None:
    known = {
        (module, other.split(".")[0])
        for module in MODULES
        if module.split(".")[0] == "assistant"
        for other in own_imports(ast.walk(TREES[module]), module)
    }
    allowed = {"assistant", *ASSISTANT_KNOWS}
    assert {(module, other) for module, other in known if other not in allowed} == set()


def test_one_door_to_each_library() -> None:
    wrong = [
        f"{module} must not import {library}"
        for module, tree in TREES.items()
        for library in sorted({name.split(".")[0] for name in imported(ast.walk(tree), module)} & set(ONLY))
        if module not in ONLY[library]
    ]
    assert wrong == []


def test_importing_voicews_is_cheap() -> None:
    """It must work without PortAudio, SDL and a display, and in the time of a blink."""
    code = (
        "import sys, voicews, voicews.audio, voicews.dialects; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    ).stdout.split()
    heavy = {
        "numpy",
        "pyaudio",
        "pygame",
        "websocket",
        "websockets",
        "asyncio",
        "rich",
        "ctranslate2",
        "pocketsphinx",
    }
    assert not heavy & set(loaded)


@pytest.mark.usefixtures("unmeasured")
def test_the_public_names_load_only_what_they_are_made_of() -> None:
    """No dialect, no sound device, and nothing that only a client in use needs."""
    code = "import sys; from voicews import *; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    ).stdout.split()
    light = {"voicews.audio.base", "voicews.audio.defaults"}
    light |= {"voicews.dialects.base", "voicews.dialects.defaults"}
    light |= {"voicews.threads.callbacks", "voicews.threads.worker", "voicews.recording.recorder"}
    rooms = ("voicews.audio.", "voicews.dialects.", "voicews.threads.", "voicews.recording.")
    heavy = {"voicews.transport", "voicews.wire", "voicews.tls", "email.utils", "ctypes", "datetime"}
    assert not {module for module in loaded if module.startswith(rooms)} - light
    assert not heavy & set(loaded)


# -- habits --------------------------------------------------------------------------------------


def nodes() -> Iterator[tuple[str, ast.AST, str]]:
    """Each node of each module: the module, the node, and where it stands."""
    for module in MODULES:
        for node in ast.walk(TREES[module]):
            yield module, node, f"{module or 'voicews'}:{getattr(node, 'lineno', 0)}"


def test_threads_only() -> None:
    asynchronous = ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor
    wrong = [where for _, node, where in nodes() if isinstance(node, asynchronous)]
    wrong += [
        f"{module} imports asyncio"
        for module in MODULES
        if any(name.split(".")[0] == "asyncio" for name in imported(ast.walk(TREES[module]), module))
    ]
    assert wrong == []


def test_nobody_sleeps() -> None:
    """A wait is for a fact, with a deadline, and can be interrupted."""

    def sleeps(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            return any(alias.name == "sleep" for alias in node.names)
        return isinstance(node, ast.Attribute) and node.attr == "sleep"

    files = [*FILES, *(ROOT / "tests").rglob("*.py")]
    wrong = [
        f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if sleeps(node)
    ]
    assert wrong == []


WALL_CLOCKS = {"time.time", "time.localtime", "time.gmtime", "datetime.now", "datetime.today", "date.today"}
TELL_THE_TIME = ("assistant", "cli", "handshake", "testing")
"""Whose business the time of day is; that of ``handshake`` only where a server gives a date (Retry-After)."""


def test_nothing_depends_on_the_wall_clock() -> None:
    """It is set, by hand, by the network or on a Pi at each boot, and nothing may stall or hurry then."""
    wrong = [
        where
        for module, node, where in nodes()
        if module.split(".")[0] not in TELL_THE_TIME
        and isinstance(node, ast.Attribute)
        and ast.unparse(node).removeprefix("datetime.") in WALL_CLOCKS
    ]
    assert wrong == []


def called(node: ast.Call) -> str:
    """The last name of what is called: ``threading.Thread(…)`` is ``Thread``."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def begins_with_voicews(value: ast.expr) -> bool:
    """Also true where it begins with what cannot be seen here, such as the name of another thread."""
    if isinstance(value, ast.JoinedStr):
        value = value.values[0]
    if isinstance(value, ast.FormattedValue):
        return True
    return isinstance(value, ast.Constant) and str(value.value).startswith("voicews-")


def test_threads_have_our_name_and_die_with_the_program() -> None:
    wrong = []
    for _, node, where in nodes():
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: word.value for word in node.keywords}
        if called(node) in ("ThreadPoolExecutor", "start_new_thread"):
            wrong.append(f"{where} starts threads without a name of ours")
        elif called(node) == "Thread" or (called(node) == "__init__" and "daemon" in given):
            daemon = given.get("daemon")
            if "name" not in given or not begins_with_voicews(given["name"]):
                wrong.append(f"{where} starts a thread whose name does not begin with voicews-")
            if not (isinstance(daemon, ast.Constant) and daemon.value is True):
                wrong.append(f"{where} starts a thread that is not a daemon")
    assert wrong == []


def test_queues_are_bounded() -> None:
    bounded = ("Queue", "LifoQueue", "PriorityQueue", "DropOldestQueue")
    wrong = [
        where
        for _, node, where in nodes()
        if isinstance(node, ast.Call)
        and (
            called(node) == "SimpleQueue" or (called(node) in bounded and not node.args and not node.keywords)
        )
    ]
    assert wrong == []


def test_files_have_one_job() -> None:
    lengths = {name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    place_of_one_machine = re.compile(r"(?<![\w.~])/(?:work|root|tmp|home/(?!pi\b))[/a-z]")
    wrong = []
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.is_file() and file != Path(__file__):
            text = file.read_bytes().decode("utf-8", "ignore")
            wrong += [f"{name}: {path}" for path in place_of_one_machine.findall(text)]
    assert wrong == []


# -- exports, docstrings, tests --------------------------------------------------------------------


def exports(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def constants_classes_functions(name: str) -> tuple[int, str]:
    """The order in which ruff keeps ``__all__``."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name


def definitions(tree: ast.Module) -> set[str]:
    """Public classes and functions made in this module."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }


def wrong_exports(module: str) -> Iterator[str]:
    tree = TREES[module]
    names = exports(tree)
    if names is None:
        if definitions(tree):
            yield f"{module} has no __all__"
        return
    if names != sorted(set(names), key=constants_classes_functions):
        yield f"{module}: __all__ is not in order"
    yield from (f"{module}.{name} is public, but not in __all__" for name in definitions(tree) - set(names))
    real = importlib.import_module(f"voicews.{module}".rstrip("."))
    yield from (f"{module}.{name} is in __all__, but not there" for name in names if not hasattr(real, name))


def test_exports_are_complete_and_real() -> None:
    assert [wrong for module in MODULES if module != "__main__" for wrong in wrong_exports(module)] == []


def test_public_names_come_from_one_place() -> None:
    """What ``voicews`` exports is the very object of the module that makes it."""
    makers = [f"voicews.{m}" for m in MODULES if m and place(m) < place("")]
    for name in voicews.__all__:
        homes = [m for m in makers if name in (exports(TREES[m.removeprefix("voicews.")]) or ())]
        assert homes, name
        assert any(getattr(importlib.import_module(home), name) is getattr(voicews, name) for home in homes)


def undocumented(module: str) -> Iterator[str]:
    tree = TREES[module]
    if not ast.get_docstring(tree) and tree.body:
        yield module or "voicews"
    real = importlib.import_module(f"voicews.{module}".rstrip("."))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield f"{module}.{node.name}"
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                overload = any(getattr(d, "id", "") == "overload" for d in inner.decorator_list)
                # A method that keeps its base class's promise has its base class's words.
                if not overload and not inspect.getdoc(getattr(getattr(real, node.name), inner.name)):
                    yield f"{module}.{node.name}.{inner.name}"


def test_what_is_public_is_documented() -> None:
    assert [name for module in MODULES if module != "__main__" for name in undocumented(module)] == []


def imported_by_a_test() -> dict[Path, set[str]]:
    """The modules that the tests of each folder import."""
    found: dict[Path, set[str]] = {}
    for test in (ROOT / "tests").rglob("test_*.py"):
        names = imported(ast.walk(ast.parse(test.read_text(encoding="utf-8"))), test.stem)
        found.setdefault(test.parent, set()).update(names)
    return found


def test_every_module_has_its_tests() -> None:
    """A file of the same name; in the command and the assistant, where a whole is made of many
    small parts, at least a test that imports it."""
    known = imported_by_a_test()
    wrong = []
    for file in FILES:
        inner, module = file.relative_to(PACKAGE), name_of(file)
        folder = ROOT / "tests" / inner.parent
        if file.name.startswith("__") or (folder / f"test_{inner.name}").exists():
            continue
        if place(module) <= place("") or f"voicews.{module}" not in known.get(folder, ()):
            wrong.append(f"{inner} wants {folder.relative_to(ROOT)}/test_{inner.name}")
    assert wrong == []


def test_test_folders_are_packages() -> None:
    """Else two test files with the same name would clash."""
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
