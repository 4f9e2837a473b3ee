"""`trivet verify`: looks at every copy and tells what is damaged; changes nothing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.cli.findings_text import is_whole, report_lines
from trivet.wire.control_messages import CheckReport


def verify(
    path: Path | None = None,
    /,
    *,
    deep: Annotated[
        bool, Parameter(negative="", help="Read the bytes of every copy, not only compare.")
    ] = False,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Look at all copies of PATH (or of everything); exit code 1 when something is damaged."""
    folder = volume_folder(state)
    arguments = {"path": drive_path(folder, path), "deep": deep}
    report = ask_keeper(folder, "verify", CheckReport, arguments)
    if json:
        print_json(report)
    else:
        print("\n".join(report_lines(report)))
    return 0 if is_whole(report) else 1
