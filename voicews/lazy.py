"""Public names of a package that are loaded when they are asked for.

A package's ``__init__`` runs before any module in it.  One that loads all its modules makes
a program that needs one of them wait for the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in voicews/__init__.py, which needs this module at once

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["load"]


def load(package: str, name: str, homes: Iterable[str]) -> object:
    """What a package's ``__getattr__`` returns.

    Args:
        package: its full name.
        name: what is asked for.
        homes: modules of the package; they are loaded in this order, until one exports the name.

    Raises:
        AttributeError: none does.
    """
    from importlib import import_module

    for home in homes:
        module = import_module(f"{package}.{home}")
        if name in module.__all__:
            found: object = getattr(module, name)
            setattr(import_module(package), name, found)  # so that it is not asked for again
            return found
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
