"""Captures live traffic into a file through dumpcap, for as long as it is asked to.

Rule: whole packets; the file is what is analysed afterwards, so that nothing is lost by being slow.
"""

import shutil
from pathlib import Path

from trivet.errors import TrivetError, UpstreamError
from trivet.io import runner


async def capture_live(interface: str, out: Path, seconds: float, capture_filter: str) -> None:
    """Capture `seconds` of traffic on `interface` into `out`; `capture_filter` as pcap-filter(7) has it.

    Raises TrivetError when dumpcap is missing or may not capture.
    """
    if shutil.which("dumpcap") is None:
        raise TrivetError(
            "dumpcap is not installed, live capture needs it (Debian: apt install wireshark-common)"
        )
    words = [
        "dumpcap",
        "-q",
        "-i",
        interface,
        "-s",
        "0",
        "-w",
        str(out),
        "-a",
        f"duration:{max(round(seconds), 1)}",
    ]
    if capture_filter:
        words += ["-f", capture_filter]
    done = await runner.run(words, deadline_s=seconds + 30)
    if done.exit_code != 0:
        why = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        raise UpstreamError(f"dumpcap could not capture on {interface}: {why[-1] if why else done.exit_code}")
