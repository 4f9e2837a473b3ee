"""Ten million different URLs under a memory cap: how long, how much memory, and whether the answer is right.

python bench/flood_urls.py [LINES] [CAP_MIB] [one-path]

one-path: the URLs are different query strings of one path.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

LINES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
CAP_MIB = sys.argv[2] if len(sys.argv) > 2 else "128"
ITEM = "/item?n=" if sys.argv[3:] == ["one-path"] else "/item/"
FLOODER_EVERY = 50


def blocks() -> Iterator[bytes]:
    """Yield a day's log: every URL asked for once, but every 50th request is one client's at one URL."""
    lines = []
    for k in range(LINES):
        second = k * 86_400 // LINES
        stamp = f"03/Jun/2024:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
        who, what = (
            ("203.0.113.7", "/login")
            if k % FLOODER_EVERY == 0
            else (f"10.{k % 199}.{k % 97}.1", f"{ITEM}{k}")
        )
        lines.append(f'{who} - - [{stamp}] "GET {what} HTTP/1.1" 200 17\n')
        if len(lines) == 50_000:
            yield "".join(lines).encode()
            lines = []
    yield "".join(lines).encode()


def main() -> None:
    """Pipe the log into the command and print what it took."""
    argv = [
        sys.executable,
        "-m",
        "trivet",
        "floods",
        "-",
        "--json",
        "--engine",
        "kernel",
        "--memory-mb",
        CAP_MIB,
    ]
    start = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        for block in blocks():
            command.stdin.write(block)
        command.stdin.close()
        report = json.loads(command.stdout.read())
    seconds = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    expected = ["203.0.113.7", "/login", -(-LINES // FLOODER_EVERY)]
    print(f"{LINES:,} lines, cap {CAP_MIB} MiB: {seconds:.0f} s, {peak_mib:.0f} MiB at most")
    print(f"top pair {report['top_pairs'][0]}, {'right' if report['top_pairs'][0] == expected else 'WRONG'}")
    print("\n".join(report["reading"]["problems"]))


if __name__ == "__main__":
    main()
