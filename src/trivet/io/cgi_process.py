"""Run one CGI program for one request and tell all that happened.

Rule: when `run_cgi` returns, the program and everything it started have ended and are reaped.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError, NotFound, ProtocolError, Unsupported
from trivet.io import runner
from trivet.wire.cgi import CgiAnswer, CgiRequest, environment, parse_answer, search_words


@dataclass(frozen=True, slots=True)
class CgiOutcome:
    """What came of one run: the answer, or `fault`, the sentence that says what the program did wrong."""

    answer: CgiAnswer | None
    fault: str | None
    finished: runner.Finished


def _checked(script: Path) -> Path:
    path = Path(os.path.abspath(script))
    if not path.is_file():
        raise NotFound(f"there is no CGI program {script}")
    if path.name.startswith("nph-"):
        raise Unsupported(
            f"{path.name} asks for non-parsed headers (nph-); rename it and let it write `Status:` instead"
        )
    if not os.access(path, os.X_OK):
        raise InputError(f"{script} is not executable: chmod +x {script}")
    return path


async def run_cgi(script: Path, request: CgiRequest, *, deadline_s: float, keep_bytes: int) -> CgiOutcome:
    """Run `script` with `request` for at most `deadline_s` seconds, keeping `keep_bytes` of its output.

    It starts in its own directory (RFC 3875 section 7.2). Raises NotFound, Unsupported (nph-) and
    InputError before anything runs.
    """
    path = _checked(script)
    finished = await runner.run(
        [path, *search_words(request)],
        env=environment(request),
        cwd=path.parent,
        body=request.body,
        deadline_s=deadline_s,
        keep_bytes=keep_bytes,
    )
    if finished.timed_out:
        return CgiOutcome(None, f"it did not end within {deadline_s:g} s and was killed", finished)
    try:
        return CgiOutcome(parse_answer(finished.stdout), None, finished)
    except ProtocolError as error:
        return CgiOutcome(None, str(error), finished)
