"""Calls the user's tools, each on a thread of its own, where they can hold up nobody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from voicews.commands import ToolResult
from voicews.deadline import Deadline
from voicews.errors import ConfigError, ThreadUnavailable
from voicews.events import ToolCall
from voicews.threads.worker import Worker
from voicews.tools import Tool

__all__ = ["Toolbox"]

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Calls under way; one more is refused, so that a server cannot start threads without end."""


class _Run(Worker):
    def __init__(self, tool: Tool, call: ToolCall, done: Callable[[_Run, ToolResult], None]) -> None:
        super().__init__(f"tool-{tool.name}")
        self._tool = tool
        self._call = call
        self._done = done

    def work(self) -> None:
        try:
            result = ToolResult(self._call.call_id, self._tool.call(self._call.arguments))
        except BaseException as error:  # the server is told, whatever it was
            log.exception("the call of the tool %s failed", self._tool.name)
            # A ConfigError is about the call, and says itself what would be right.
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            result = ToolResult(self._call.call_id, error=f"{kind}{error}")
        self._done(self, result)


class Toolbox:
    """The calls that a server has asked for and not got an answer to yet.

    Args:
        tools: by name; may grow while calls are under way.
        answer: gets each result; called from the call's thread.
    """

    def __init__(self, tools: Mapping[str, Tool], answer: Callable[[ToolResult], None]) -> None:
        self._tools = tools
        self._answer = answer
        self._lock = threading.Lock()
        self._wanted: dict[str, _Run] = {}
        self._threads: set[_Run] = set()

    def knows(self, name: str) -> bool:
        """True if there is a function of this name."""
        tool = self._tools.get(name)
        return tool is not None and tool.function is not None

    def call(self, call: ToolCall) -> None:
        """Begin; the answer comes from another thread."""
        tool = self._tools.get(call.name)
        if tool is None or tool.function is None:
            self._answer(ToolResult(call.call_id, error=f"there is no tool named {call.name}"))
            return
        with self._lock:
            self._threads = {run for run in self._threads if run.is_alive()}
            crowded = len(self._threads) >= _AT_ONCE
            if not crowded:
                run = _Run(tool, call, self._done)
                self._wanted[call.call_id] = run
                self._threads.add(run)
        if crowded:
            self._answer(ToolResult(call.call_id, error=f"{_AT_ONCE} calls are under way already"))
            return
        try:
            run.start()
        except ThreadUnavailable as error:
            log.error("the tool %s cannot be called: %s", tool.name, error)
            self._done(run, ToolResult(call.call_id, error="the function cannot be called now"))

    def _done(self, run: _Run, result: ToolResult) -> None:
        with self._lock:
            wanted = self._wanted.get(result.call_id) is run
            if wanted:
                del self._wanted[result.call_id]
        if wanted:
            self._answer(result)
        else:
            log.info("the result of %s comes too late", run.name)

    def expire(self, call_id: str, seconds: float) -> None:
        """Answer that it takes too long; the function itself cannot be stopped."""
        if self.cancel(call_id):
            self._answer(ToolResult(call_id, error=f"no result within {seconds:g} s"))

    def cancel(self, call_id: str) -> bool:
        """Want the result no longer; False if it was answered or never asked for."""
        with self._lock:
            return self._wanted.pop(call_id, None) is not None

    def cancel_all(self) -> None:
        """The session that asked for them is gone."""
        with self._lock:
            self._wanted.clear()

    def alive(self, seconds: float | None) -> list[threading.Thread]:
        """The calls that still run after so many seconds."""
        deadline = Deadline(seconds)
        return [run for run in self._threads if not run.ended_within(deadline.remaining())]
