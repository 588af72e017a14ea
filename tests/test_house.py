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
LONGEST = 750
"""Lines; a longer file does more than one job."""

FLOORS: list[tuple[str, ...]] = [
    ("lazy", "printable", "errors", "starting", "deadline", "systemd"),
    ("backoff", "config", "buffers"),
    ("history", "tools", "lifecycle", "commands", "events", "stats"),
    ("tls", "proxy", "wire", "dialects", "audio"),
    ("handshake", "transport"),
    ("threads",),
    ("recording", "client"),
    ("",),  # voicews/__init__.py: the public names
    ("assistant", "timeline", "cli", "testing", "__main__"),
]
"""From the cellar up.  A module imports from floors below, or from those before it on its own."""

ASSISTANT_KNOWS = {"errors", "deadline", "config", "buffers", "history", "audio"}
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


@pytest.mark.parametrize("module", MODULES)
def test_imports_lead_downstairs(module: str) -> None:
    for other in own_imports(ast.walk(TREES[module]), module):
        if other.split(".")[0] != module.split(".", maxsplit=1)[0]:
            assert place(other) < place(module), f"{module} must not know {other}"


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
    for module in (m for m in MODULES if m.split(".")[0] == "assistant"):
        known = {other.split(".")[0] for other in own_imports(ast.walk(TREES[module]), module)}
        assert known - {"assistant"} <= ASSISTANT_KNOWS, module


@pytest.mark.parametrize("library", ONLY)
def test_one_door_to_each_library(library: str) -> None:
    users = {
        module
        for module, tree in TREES.items()
        if any(name.split(".")[0] == library for name in imported(ast.walk(tree), module))
    }
    assert users <= ONLY[library]


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


@pytest.mark.parametrize("module", MODULES)
def test_threads_only(module: str) -> None:
    for node in ast.walk(TREES[module]):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor)
    assert not {name for name in imported(ast.walk(TREES[module]), module) if name.split(".")[0] == "asyncio"}


@pytest.mark.parametrize("folder", ["voicews", "tests"])
def test_nobody_sleeps(folder: str) -> None:
    """A wait is for a fact, with a deadline, and can be interrupted."""
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            slept = isinstance(node, ast.Attribute) and node.attr == "sleep"
            slept |= isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names)
            assert not slept, f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


WALL_CLOCKS = {"time.time", "time.localtime", "time.gmtime", "datetime.now", "datetime.today", "date.today"}
TELL_THE_TIME = ("assistant", "cli", "handshake", "testing")
"""Whose business the time of day is; that of ``handshake`` only where a server gives a date (Retry-After)."""


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[0] not in TELL_THE_TIME])
def test_nothing_depends_on_the_wall_clock(module: str) -> None:
    """It is set, by hand, by the network or on a Pi at each boot, and nothing may stall or hurry then."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node).removeprefix("datetime.") not in WALL_CLOCKS, f"{module}:{node.lineno}"


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


@pytest.mark.parametrize("module", MODULES)
def test_threads_have_our_name_and_die_with_the_program(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if not isinstance(node, ast.Call):
            continue
        assert called(node) not in ("ThreadPoolExecutor", "start_new_thread"), f"{module}:{node.lineno}"
        worker = called(node) == "__init__" and "daemon" in {word.arg for word in node.keywords}
        if called(node) == "Thread" or worker:
            given = {word.arg: word.value for word in node.keywords}
            assert begins_with_voicews(given["name"]), f"{module}:{node.lineno}"
            daemon = given["daemon"]
            assert isinstance(daemon, ast.Constant), f"{module}:{node.lineno}"
            assert daemon.value is True, f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_queues_are_bounded(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call):
            assert called(node) != "SimpleQueue", f"{module}:{node.lineno}"
            if called(node) in ("Queue", "LifoQueue", "PriorityQueue", "DropOldestQueue"):
                assert node.args or node.keywords, f"{module}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_files_have_one_job(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_no_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    place_of_one_machine = re.compile(r"(?<![\w.~])/(?:work|root|tmp|home/(?!pi\b))[/a-z]")
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.is_file() and file != Path(__file__):
            text = file.read_bytes().decode("utf-8", "ignore")
            assert not place_of_one_machine.findall(text), name


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


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__main__"])
def test_exports_are_complete_and_real(module: str) -> None:
    tree = TREES[module]
    names = exports(tree)
    if names is None:
        assert not definitions(tree), f"{module} has no __all__"
        return
    assert names == sorted(set(names), key=constants_classes_functions)
    assert not definitions(tree) - set(names), "public, but not in __all__"
    real = importlib.import_module(f"voicews.{module}".rstrip("."))
    assert not [name for name in names if not hasattr(real, name)]


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
        yield "the module"
    real = importlib.import_module(f"voicews.{module}".rstrip("."))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node.name
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                overload = any(getattr(d, "id", "") == "overload" for d in inner.decorator_list)
                # A method that keeps its base class's promise has its base class's words.
                if not overload and not inspect.getdoc(getattr(getattr(real, node.name), inner.name)):
                    yield f"{node.name}.{inner.name}"


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__main__"])
def test_what_is_public_is_documented(module: str) -> None:
    assert list(undocumented(module)) == []


def imported_by_a_test(module: str) -> bool:
    """True if a test in the module's folder imports it."""
    folder = ROOT / "tests" / Path(*module.split(".")[:-1])
    return any(
        f"voicews.{module}" in imported(ast.walk(ast.parse(test.read_text(encoding="utf-8"))), module)
        for test in folder.glob("test_*.py")
    )


@pytest.mark.parametrize("file", [f for f in FILES if not f.name.startswith("__")], ids=name_of)
def test_every_module_has_its_tests(file: Path) -> None:
    """A file of the same name; in the command and the assistant, where a whole is made of many
    small parts, at least a test that imports it."""
    inner = file.relative_to(PACKAGE)
    module = name_of(file)
    usual = ROOT / "tests" / inner.parent / f"test_{inner.name}"
    assert usual.exists() or (place(module) > place("") and imported_by_a_test(module)), usual.relative_to(
        ROOT
    )


@pytest.mark.parametrize("folder", sorted({f.parent for f in (ROOT / "tests").rglob("*.py")}), ids=str)
def test_test_folders_are_packages(folder: Path) -> None:
    """Else two test files with the same name would clash."""
    assert (folder / "__init__.py").exists()
