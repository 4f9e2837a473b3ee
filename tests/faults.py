"""`make faults`: the tests that break things on purpose, with counts that take too long for every change.

`make faults ARGS="kills seeds"` runs the parts whose names contain one of the words.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """One run of pytest on `tests`, with `variables` that say how much; `count` of `what`."""

    what: str
    count: int
    tests: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)


PARTS = (
    Part(
        "seeds of an upstream over a failing line, and a day of a flapping vendor", 5000,
        ("tests/sim/test_upstream_faults.py",), {"TRIVET_UPSTREAM_SEEDS": "5000"},
    ),
    Part(
        "kills (SIGKILL) of the upstream's process in the middle of transfers", 200,
        ("tests/probe/test_upstream_killed.py",), {"TRIVET_UPSTREAM_KILLS": "200"},
    ),
    Part(
        "rounds of kills of worker, RabbitMQ and Redis in the middle of transfers", 10,
        ("tests/probe/test_upstream_servers.py",), {"TRIVET_SERVER_ROUNDS": "10"},
    ),
)  # fmt: skip


def main(words: list[str]) -> int:
    """Run the parts that `words` name, all without; print what ran. Return 0 if nothing failed."""
    rows = []
    for part in PARTS:
        if words and not any(word in part.what for word in words):
            continue
        print(f"--- {part.count:,} {part.what}", flush=True)
        began_s = time.monotonic()
        code = subprocess.call(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *part.tests],
            env=os.environ | part.variables,
        )
        rows.append((part, code, time.monotonic() - began_s))
    print(f"\n{'count':>8}  {'seconds':>8}  {'':8}  what")
    for part, code, seconds in rows:
        print(f"{part.count:>8,}  {seconds:>8.0f}  {'failed' if code else 'well':8}  {part.what}")
    return 1 if any(code for _, code, _ in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
