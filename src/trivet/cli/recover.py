"""`trivet recover`: accepts a loss that nobody but the owner may accept; says first what would go."""

import sys
from typing import Annotated

from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.errors import InputError
from trivet.wire.control_messages import RecoverReport, RecoverWhat


def recover(
    *,
    accept_rollback: Annotated[
        bool, Parameter(negative="", help="Go on from banks that were rolled back to an older state.")
    ] = False,
    accept_cut: Annotated[
        bool, Parameter(negative="", help="Cut history before the first entry no good copy is left of.")
    ] = False,
    yes: Annotated[bool, Parameter(negative="", help="Don't ask.")] = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Bring back a drive that refuses to serve because something acknowledged is gone."""
    if accept_rollback == accept_cut:
        raise InputError("name what you accept: `trivet recover --accept-rollback` or `--accept-cut`")
    what: RecoverWhat = "accept_rollback" if accept_rollback else "accept_cut"
    folder = volume_folder(state)
    planned = ask_keeper(folder, "recover", RecoverReport, {"what": what, "apply": False})
    if not planned.needed:
        print_json(planned) if json else print("Nothing to recover from: the drive serves.")
        return 0
    if not json:
        print("\n".join(_lines(planned, "What would go:")))
    if not yes and not json and sys.stdin.isatty() and not _agreed():
        print("Nothing was changed.")
        return 1
    done = ask_keeper(folder, "recover", RecoverReport, {"what": what, "apply": True})
    if json:
        print_json(done)
    else:
        print("\n".join(_lines(done, "Gone:")))
        print("The drive serves again." if done.done else "The drive could not be recovered.")
    return 0 if done.done else 1


def _lines(report: RecoverReport, title: str) -> list[str]:
    lines = [title, *(f"  {sentence}" for sentence in report.lost)]
    if report.lost_left_out:
        lines.append(f"  ... and {report.lost_left_out} more")
    if report.slot_before is not None and report.slot_after is not None:
        lines.append(f"  History ends at slot {report.slot_after} instead of {report.slot_before}.")
    return lines


def _agreed() -> bool:
    return input("Accept this loss? [y/N] ").strip().lower() in ("y", "yes")
