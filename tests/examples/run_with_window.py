"""Run a Tk program, and be its user and window manager by lines on the standard input.

`press` and `release` are the mouse on its button, `read` prints all its words in one line, `close` is a click
on the window's cross; once the main loop has ended, `closed after SECONDS` is printed.
"""

from __future__ import annotations

import queue
import runpy
import sys
import threading
import time
import tkinter as tk
from typing import Any

_lines: queue.SimpleQueue[str] = queue.SimpleQueue()
_mainloop = tk.Misc.mainloop
_closed_at: list[float] = []


def _read_lines() -> None:
    for line in sys.stdin:
        _lines.put(line.strip())


def _obey(window: Any) -> None:
    """Everything happens in the main loop, as with a real user: the window is asked for its own."""
    window.after(10, _obey, window)
    if _lines.empty():
        return
    parts = window.winfo_children()
    [button] = [part for part in parts if isinstance(part, tk.Button)]
    match _lines.get():
        case "press":
            button.event_generate("<ButtonPress-1>")
        case "release":
            button.event_generate("<ButtonRelease-1>")
        case "read":
            labels = [part["text"] for part in parts if isinstance(part, tk.Label)]
            texts = [part.get("1.0", "end") for part in parts if isinstance(part, tk.Text)]
            print(" | ".join([*labels, *"".join(texts).split("\n")]).rstrip(" |"), flush=True)
        case "close":
            _closed_at.append(time.monotonic())
            window.tk.eval(window.protocol("WM_DELETE_WINDOW"))


def _watched(window: Any, n: int = 0) -> None:
    window.after(10, _obey, window)
    _mainloop(window, n)
    took = time.monotonic() - _closed_at[0] if _closed_at else 0.0
    print(f"closed after {took:.2f}", flush=True)


if __name__ == "__main__":
    tk.Misc.mainloop = _watched  # type: ignore[method-assign]
    threading.Thread(target=_read_lines, daemon=True).start()
    runpy.run_path(sys.argv[1], run_name="__main__")
