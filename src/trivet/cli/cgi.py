"""`trivet cgi`: run a CGI program for a test, show its answer, leave no process behind."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from trivet import __version__
from trivet.errors import InputError
from trivet.io.cgi_process import CgiOutcome, run_cgi
from trivet.wire.cgi import CgiRequest

_SHOWN_BYTES = 60


def _help(text: str, name: str | None = None) -> Parameter:
    return Parameter(name=name, help=text, negative=())


def _pairs(lines: list[str], mark: str, option: str) -> list[tuple[str, str]]:
    pairs = []
    for line in lines:
        name, found, value = line.partition(mark)
        if not found or not name:
            raise InputError(f"{option} wants NAME{mark}VALUE, not {line!r}")
        pairs.append((name.strip(), value.strip() if mark == ":" else value))
    return pairs


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read the body from {path}: {error.strerror}") from None


def _facts(outcome: CgiOutcome) -> dict[str, Any]:
    done, answer = outcome.finished, outcome.answer
    return {
        "ok": answer is not None,
        "fault": outcome.fault,
        "kind": answer and answer.kind,
        "status": answer and answer.status,
        "reason": answer and answer.reason,
        "location": answer and answer.location,
        "headers": [list(pair) for pair in answer.headers] if answer else [],
        "body": answer.body.decode("utf-8", "backslashreplace") if answer else None,
        "exit_code": done.exit_code,
        "duration_s": round(done.duration_s, 6),
        "timed_out": done.timed_out,
        "output_dropped_bytes": done.stdout_dropped_bytes,
        "body_unread_bytes": done.body_unread_bytes,
        "background": [{"pid": pid, "name": name} for pid, name in done.background],
        "left": list(done.left),
        "stderr": done.stderr.decode("utf-8", "backslashreplace"),
    }


def _notes(script: Path, outcome: CgiOutcome, method: str) -> list[str]:
    done = outcome.finished
    notes = [f"{script}: {outcome.fault}"] if outcome.fault else []
    if outcome.fault and done.stdout:
        notes.append(
            f"what it wrote begins {done.stdout[:_SHOWN_BYTES].decode('utf-8', 'backslashreplace')!r}"
        )
    if method == "HEAD" and outcome.answer is not None and outcome.answer.body:
        notes.append("it answered HEAD with a body, which no server passes on")
    if done.exit_code and not done.timed_out:
        how = f"by signal {-done.exit_code}" if done.exit_code < 0 else f"with exit code {done.exit_code}"
        notes.append(f"it ended {how}")
    if done.body_unread_bytes:
        notes.append(f"it left {done.body_unread_bytes:,} bytes of the body unread")
    if done.stdout_dropped_bytes:
        notes.append(
            f"{done.stdout_dropped_bytes:,} bytes of output above the limit were dropped (--max-output)"
        )
    if done.background:
        names = ", ".join(f"{name} (pid {pid})" for pid, name in done.background)
        notes.append(f"it left processes behind, which were killed: {names}")
    if done.left:
        notes.append(f"processes that could not be killed: {', '.join(map(str, done.left))}")
    return notes


def _show(script: Path, outcome: CgiOutcome, method: str) -> None:
    out, answer = sys.stdout.buffer, outcome.answer
    sys.stderr.write(outcome.finished.stderr.decode("utf-8", "backslashreplace"))
    for note in _notes(script, outcome, method):
        print(f"trivet: {note}", file=sys.stderr)
    if answer is None:
        return
    lines = [f"Status: {answer.status} {answer.reason}".rstrip()]
    if answer.kind == "local-redirect":
        lines = [f"Local redirect to {answer.location} (a server would now serve that path)"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    out.write("".join(f"{line}\n" for line in lines).encode("latin-1") + b"\n" + answer.body)
    out.flush()


def cgi(
    script: Annotated[Path, _help("The program; started in its own directory, without a shell.")],
    *,
    post_file: Annotated[
        Path | None,
        Parameter(help='The request body ("-" = stdin); makes the method POST.', allow_leading_hyphen=True),
    ] = None,
    method: Annotated[str | None, _help("GET without a body, POST with one, unless stated.")] = None,
    path_info: Annotated[str, _help("What follows the program in the URL, for example /user/7.")] = "",
    document_root: Annotated[
        Path | None, _help("What PATH_TRANSLATED begins with: the program's directory unless told.")
    ] = None,
    query: Annotated[str, _help("The query string, encoded.")] = "",
    content_type: Annotated[str | None, _help("Type of the body; a form unless stated.")] = None,
    header: Annotated[list[str] | None, _help('A request header, "Name: value"; can be repeated.')] = None,
    env: Annotated[
        list[str] | None, _help("A variable to add or replace, for example SERVER_NAME=a.b.")
    ] = None,
    timeout: Annotated[float, _help("Seconds until the program is ended.")] = 30.0,
    max_output: Annotated[int, _help("Bytes of output that are kept.")] = 16 << 20,
    json_: Annotated[bool, _help("Tell everything as one JSON object.", "--json")] = False,
) -> int:
    """Run a CGI program (RFC 3875) for a test; when this returns, no process of it is left.

    Its answer goes to stdout, what was noticed to stderr. Exit code 0: it gave an answer; 3: it gave none
    (it hung, or wrote what RFC 3875 does not allow).
    """
    if not timeout > 0 or max_output <= 0:  # written so that it refuses nan, too
        raise InputError("--timeout and --max-output must be above 0")
    body = b"" if post_file is None else _read(post_file)
    form = "application/x-www-form-urlencoded" if post_file is not None else ""
    request = CgiRequest(
        method=method or ("GET" if post_file is None else "POST"),
        script_name=f"/cgi-bin/{script.name}",
        path_info=path_info,
        document_root=str((document_root or script.parent).resolve()),
        query=query,
        body=body,
        content_type=form if content_type is None else content_type,
        headers=_pairs(header or [], ":", "--header"),
        software=f"trivet/{__version__}",
        extra=dict(_pairs(env or [], "=", "--env")),
    )
    outcome = asyncio.run(run_cgi(script, request, deadline_s=timeout, keep_bytes=max_output))
    if json_:
        print(json.dumps(_facts(outcome), ensure_ascii=False))
    else:
        _show(script, outcome, request.method)
    return 0 if outcome.answer else 3
