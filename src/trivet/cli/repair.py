"""`trivet repair` and `trivet repairs`: what would be, is and was repaired."""

import re
import time
from typing import Annotated

from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.cli.findings_text import dated_line, is_whole, open_line, report_lines
from trivet.errors import InputError
from trivet.wire.control_messages import CheckReport, RepairHistory

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def repair(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would be fixed.")] = False,
    apply: Annotated[bool, Parameter(negative="", help="Fix it.")] = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Look at all copies and fix (or say what would be fixed); exit code 1 when something stays damaged."""
    if dry_run == apply:
        raise InputError("say which: `trivet repair --dry-run` to see, `trivet repair --apply` to fix")
    report = ask_keeper(volume_folder(state), "repair", CheckReport, {"apply": apply})
    if json:
        print_json(report)
    else:
        print("\n".join(report_lines(report)))
    return 0 if is_whole(report) else 1


def repairs(
    *,
    since: Annotated[str | None, Parameter(help="How far back: 90s, 15m, 2h, 1d.")] = None,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """List what was repaired (when, where, why, from which copy), and since when what is not is open."""
    since_s = None if since is None else span_s(since)
    history = ask_keeper(volume_folder(state), "repairs", RepairHistory, {"since_s": since_s})
    if json:
        print_json(history)
        return 0
    for finding in history.repairs:
        print(dated_line(finding))
    if history.repairs_left_out:
        print(f"... and {history.repairs_left_out} older ones")
    for finding in history.open:
        print(open_line(finding, time.time()))
    if history.open_left_out:
        print(f"... and {history.open_left_out} more that are open")
    if not history.repairs and not history.open:
        print("Nothing was repaired" + ("." if since is None else f" in the last {since}."))
    return 0


def span_s(text: str) -> float:
    """Return the seconds of a span like 90s, 15m, 2h or 1d; InputError for anything else."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"--since {text}: write a number and s, m, h or d, like 15m")
    return float(found[1]) * _UNIT_S[found[2]]
