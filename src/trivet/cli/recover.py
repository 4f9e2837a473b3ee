"""`trivet recover`: accepts a loss that nobody but the owner may accept; says first what would go.

Rule: without a word of what is accepted it only tells.
"""

import sys
import time
from typing import Annotated

from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.errors import InputError, NoMajority
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import NOT_MOUNTED, Status
from trivet.wire.recover_messages import Operation, RecoverReport, RecoverWhat, moment_text

SERVES_DEADLINE_S = 30.0


def recover(
    *,
    accept_rollback: Annotated[
        bool, Parameter(negative="", help="Go on from banks that were rolled back to an older state.")
    ] = False,
    accept_cut: Annotated[
        bool, Parameter(negative="", help="Cut history before the first entry no good copy is left of.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would go.")] = False,
    yes: Annotated[bool, Parameter(negative="", help="Don't ask.")] = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Bring back a drive that refuses to serve because something acknowledged is gone.

    Without --accept-... it says why the drive refuses, and which operations would go; nothing is changed.
    """
    if accept_rollback and accept_cut:
        raise InputError("accept one thing: `trivet recover --accept-rollback` or `--accept-cut`")
    what: RecoverWhat = "accept_cut" if accept_cut else "accept_rollback"
    dry_run = dry_run or not (accept_rollback or accept_cut)
    folder = volume_folder(state)
    planned = ask_keeper(folder, "recover", RecoverReport, {"what": what, "apply": False})
    if not planned.needed:
        print_json(planned) if json else print("Nothing to recover from: the drive serves.")
        return 0
    if dry_run and json:
        print_json(planned)
    elif not json:
        if not (accept_rollback or accept_cut):
            print("\n".join(ask_keeper(folder, "status", Status).notes))
        print("\n".join(_lines(planned, "What would go:")))
    if dry_run:
        return 1
    if not yes and not json and sys.stdin.isatty() and not _agreed():
        print("Nothing was changed.")
        return 1
    done = ask_keeper(folder, "recover", RecoverReport, {"what": what, "apply": True})
    why_not = _serves_within(folder, SERVES_DEADLINE_S)
    if json:
        print_json(done)
    else:
        print("\n".join(_lines(done, "Gone:")))
        print(f"The drive does not serve yet: {why_not}" if why_not else "The drive serves again.")
    return 1 if why_not else 0


def _serves_within(folder: VolumeFolder, deadline_s: float) -> str:
    """Wait until the door is open and nothing says NoMajority; return what still stands against it."""
    until = time.monotonic() + deadline_s
    while True:
        notes = ask_keeper(folder, "status", Status).notes
        why_not = "; ".join(n for n in notes if n.startswith(NoMajority.__name__) or n == NOT_MOUNTED)
        if not why_not or time.monotonic() > until:
            return why_not
        time.sleep(0.1)


def _lines(report: RecoverReport, title: str) -> list[str]:
    nothing = [] if report.operations else ["nothing that is known of"]
    lines = [title, *(f"  {sentence}" for sentence in report.lost or nothing)]
    if report.lost_left_out:
        lines.append(f"  ... and {report.lost_left_out} more")
    lines += _operations(report)
    if None not in (report.slot_before, report.slot_after) and report.slot_before != report.slot_after:
        lines.append(f"  History ends at slot {report.slot_after} instead of {report.slot_before}.")
    return lines


def _operations(report: RecoverReport) -> list[str]:
    lines = [f"  {_operation(one)}" for one in report.operations]
    if report.operations_left_out:
        lines.insert(len(lines) // 2, f"  ... {report.operations_left_out} more operations ...")
    return lines


def _operation(one: Operation) -> str:
    when = "-" if one.at_ns is None else moment_text(one.at_ns)
    path = f"{one.path} -> {one.to}" if one.to else one.path
    held = f", still in bank {' and '.join(map(str, one.held_by))}" if one.held_by else ""
    return f"{when:25}  {one.what:8} {path} (slot {one.slot}{held})"


def _agreed() -> bool:
    return input("Accept this loss? [y/N] ").strip().lower() in ("y", "yes")
