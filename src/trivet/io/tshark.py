"""tshark as an engine: found, its version checked, run on a capture, its rows handed on.

Rule: it runs without the user's Wireshark preferences, so that the same capture gives the same rows.
Rule: body reassembly stays on: without it tshark loses responses.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError, UpstreamError
from trivet.insight.tshark_rows import FIELDS, SEPARATOR, Row, split_row
from trivet.io import runner

OLDEST = (3, 4)
_VERSION = re.compile(rb"TShark \(Wireshark\) (\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Tshark:
    """A usable tshark, or `why_not`, the sentence that says why there is none."""

    version: tuple[int, int] | None
    why_not: str = ""


async def find_tshark() -> Tshark:
    """Look for tshark on the PATH and check its version."""
    if shutil.which("tshark") is None:
        return Tshark(None, "tshark is not installed (Debian: apt install tshark)")
    done = await runner.run(["tshark", "--version"], deadline_s=30)
    match = _VERSION.search(done.stdout)
    if match is None:
        return Tshark(None, "the tshark on the PATH does not tell its version")
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        return Tshark(
            None, f"tshark {version[0]}.{version[1]} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    return Tshark(version)


def arguments(
    capture: Path, keylog: Path | None, tls_ports: Iterable[int], h2_ports: Iterable[int]
) -> list[str]:
    """Return tshark's command line: ports on which TLS or plain HTTP/2 was seen are told to it."""
    words = ["tshark", "-n", "-r", str(capture)]
    if keylog is not None:
        words += ["-o", f"tls.keylog_file:{keylog}"]
    for port in sorted(set(tls_ports)):
        words += ["-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},http"]
    for port in sorted(set(h2_ports)):
        words += ["-d", f"tcp.port=={port},http2"]
    words += [
        "-Y",
        "(http && tls) || http2",
        "-T",
        "fields",
        "-E",
        f"aggregator={SEPARATOR}",
        "-E",
        "occurrence=a",
    ]
    return words + [word for name in FIELDS for word in ("-e", name)]


async def read_rows(words: list[str], take: Callable[[Row], None], size_bytes: int) -> None:
    """Run tshark on a capture of `size_bytes`, hand each row to `take`; UpstreamError when it fails."""
    rest = b""

    async def lines(block: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            take(split_row(line.decode("utf-8", "backslashreplace")))

    with tempfile.TemporaryDirectory(prefix="trivet-tshark-") as folder:
        done = await runner.run(
            words,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": folder,
                "WIRESHARK_CONFIG_DIR": folder,
                "LC_ALL": "C.UTF-8",
            },
            deadline_s=120 + size_bytes / 200_000,
            sink=lines,
        )
    if done.timed_out:
        raise UpstreamError(f"tshark did not finish within {done.duration_s:.0f} s")
    if done.exit_code not in {0, 2}:  # 2: the capture is cut, which our own reader has told already
        why = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        raise UpstreamError(
            f"tshark failed with exit code {done.exit_code}: {why[-1] if why else 'no reason given'}"
        )


def check_keylog(keylog: Path) -> None:
    """Raise InputError unless `keylog` is a readable NSS key log."""
    try:
        with keylog.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise InputError(f"can't read the key log {keylog}: {error.strerror}") from None
    if not re.search(rb"^(?:CLIENT_|SERVER_|RSA |EXPORTER_|EARLY_)", head, re.MULTILINE):
        raise InputError(
            f"{keylog} is no key log: it must have lines such as `CLIENT_RANDOM ...` (set SSLKEYLOGFILE "
            "for the program while you capture)"
        )
