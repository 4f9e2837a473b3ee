"""`trivet logs generate` and `trivet logs replay`: logs to try things with.

Rule: log lines go to the file named, or to standard output; everything said goes to standard error.
"""

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from trivet.cli.logs import tell
from trivet.errors import InputError

_MOST_RATE = 500_000


@Parameter(name="*")
@dataclass(frozen=True)
class SiteOptions:
    """What is made up."""

    factor: float = 2.0
    "Variety: 1,000 distinct URLs times this."
    seed: int | None = None
    "The same seed makes the same requests."
    addresses: int = 5_000
    "Distinct client addresses."
    malformed: float = 0.0
    "Share of malformed lines."
    flood: float = 0.0
    "Share of lines of one flooding client."
    burst_every: float = 0.0
    "A burst every so many seconds (0: none)."
    burst_length: float = 10.0
    "Seconds a burst takes."
    burst_times: float = 5.0
    "How many times the pace it has."
    devices: int = 0
    "Devices in a fleet that asks in lock-step (0: none)."
    device_period: float = 150.0
    "Seconds between two requests of the fleet."


def generate(
    out: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    *,
    rate: float = 10.0,
    for_: Annotated[float | None, Parameter(name="--for")] = None,
    lines: int | None = None,
    made: SiteOptions = SiteOptions(),
) -> int:
    """Write made-up Combined log lines at a pace, until stopped.

    Parameters
    ----------
    out
        The file to append to; standard output when left out.
    rate
        Lines a second, 1 to 500,000. When that can't be held, the rate reached is said.
    for_
        End after so many seconds.
    lines
        End after so many lines.
    """
    import numpy as np

    from trivet.insight.logs.generator import LineMaker, Site
    from trivet.monitor.logs.writing import write_paced

    if not 1 <= rate <= _MOST_RATE:
        raise InputError(f"--rate must be from 1 to {_MOST_RATE} lines a second")
    if made.addresses < 1 or made.devices < 0 or (lines is not None and lines < 1):
        raise InputError("--addresses and --lines must be 1 or more, --devices 0 or more")
    site = Site(
        made.factor, made.addresses, made.malformed, made.flood, made.burst_every, made.burst_length,
        made.burst_times, made.devices, made.device_period,
    )  # fmt: skip
    maker = LineMaker(site, np.random.default_rng(made.seed))
    with _opened(out) as stream:
        written = write_paced(stream, maker, site, rate=rate, for_s=for_, most_lines=lines)
    tell(written.report())
    return 0


def replay(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    *,
    speed: float = 1.0,
    restamp: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write the lines of a log as far apart as their times are, or faster.

    Parameters
    ----------
    file
        The log to play back.
    out
        The file to append to; standard output when left out.
    speed
        How many times as fast as it was.
    restamp
        Give each line the present time.
    """
    from trivet.io.log_files import LogFile, expand_paths
    from trivet.monitor.logs.writing import replay as play

    if not speed > 0:
        raise InputError("--speed must be more than 0")
    log = LogFile(expand_paths([file])[0])
    with _opened(out) as stream:
        written = play(log, stream, speed=speed, restamp=restamp, say=tell)
    for problem in log.problems:
        tell(problem)
    tell(written.report())
    return 0


def _opened(out: str) -> AbstractContextManager[BinaryIO]:
    if out == "-":
        return nullcontext(sys.stdout.buffer)
    try:
        return Path(out).open("ab")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
