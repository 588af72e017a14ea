from __future__ import annotations

import subprocess
import sys


def test_what_is_kept_outlives_its_last_name_and_the_interpreter() -> None:
    program = (
        "import gc\n"
        "from voicews.audio.inheritance import never_freed\n"
        "class Stream:\n"
        "    def __init__(self, name): self.name = name\n"
        "    def __del__(self): print(self.name, flush=True)\n"
        "kept, freed = Stream('kept'), Stream('freed')\n"
        "never_freed(kept, None)\n"
        "del kept, freed\n"
        "gc.collect()\n"
        "print('the end')\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out == "freed\nthe end\n"
