"""The Autobahn cases as a server of its own: ``python -m tests.interop.fuzzing_server CASES…``.

It prints its port, waits until a client has driven every case, and then prints one JSON
object per case.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - what the runner is made of; a process of its own
import json
import sys

from kosoku import FailureError, run_fuzzingserver


async def main(cases: list[str]) -> None:
    async with run_fuzzingserver(cases, port=0) as server:
        print(server.port, flush=True)
        try:
            results = await server.get_result()
        except FailureError as failure:
            results = failure.results
    for result in results:
        fields = {
            "id": result.case_id,
            "behavior": result.behavior.value,
            "close": result.behavior_close.value,
            "result": result.result,
            "result_close": result.result_close,
        }
        print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
