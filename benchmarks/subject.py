"""One kind of client for a while, and its cost: ``python -m benchmarks.subject NAME URL SECONDS``.

It prints ``open`` once all clients run, and at the end one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import sys
import threading
import time
from pathlib import Path


def burn() -> None:
    """Pure Python, for ever: what the GIL has to be shared with."""
    number = 0
    while True:
        number = (number * 31 + 7) % 1_000_003


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--ca")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument(
        "--queued", action="store_true", help="a queue before the loudspeaker of a vendor's own"
    )
    parser.add_argument("--burner", action="store_true")
    parser.add_argument("--switch-interval", type=float)
    parser.add_argument("--join", help="a control group to enter before measuring")
    options = parser.parse_args()
    module = importlib.import_module(f"benchmarks.clients.{options.name}")
    if options.switch_interval:
        sys.setswitchinterval(options.switch_interval)
    never = threading.Event()
    more = {"queued": True} if options.queued else {}
    clients = [module.Client(options.url, options.ca, **more) for _ in range(options.clients)]
    for client in clients:
        client.open()
        never.wait(0.02 / len(clients))
    if options.burner:
        threading.Thread(target=burn, daemon=True).start()
    if options.join:
        with (Path(options.join) / "cgroup.procs").open("w") as group:
            group.write("0")
    print("open", flush=True)
    never.wait(0.7)
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic_ns()
    dropped = sum(client.dropped() for client in clients)
    never.wait(options.seconds)
    after, end = resource.getrusage(resource.RUSAGE_SELF), time.monotonic_ns()
    dropped = sum(client.dropped() for client in clients) - dropped
    heard = [heard - at for client in clients for at, heard in client.ear.heard if begin <= at < end]
    dry = sum(begin <= at < end for client in clients for at in client.ear.dry)
    for client in clients:
        client.close()
    print(
        json.dumps(
            {
                "begin": begin,
                "end": end,
                "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "user": after.ru_utime - before.ru_utime,
                "switches": after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw,
                "heard": heard,
                "dry": dry,
                "dropped": dropped,
                "rss": after.ru_maxrss,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
