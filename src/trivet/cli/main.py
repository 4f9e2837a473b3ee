"""The command `trivet`: one file a verb, each loaded only when it is asked for.

Rule: this is the command line's one translating `except`; verbs return their exit code or raise TrivetError.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from trivet import __version__
from trivet.cli.wrong_use import explained
from trivet.errors import TrivetError
from trivet.io.gc_counters import publish

NOBODY_READS = 141  # 128 + SIGPIPE, as a shell says of a tool that a closed pipe ended

app = App(name="trivet", help="A self-healing drive that watches itself.", version=__version__)

#: verb -> (where its function or App is, one line of help)
VERBS: dict[str, tuple[str, str]] = {
    "up": ("trivet.cli.up:up", "Bring the drive up: banks, keeper, folder."),
    "down": ("trivet.cli.down:down", "Unmount and stop everything; nothing is lost."),
    "health": ("trivet.cli.health:health", "Say whether all is well; log any processes of this machine."),
    "top": ("trivet.cli.top:top", "Show the drive live in the terminal."),
    "start": ("trivet.cli.start_stop:start", "Start a bank or a server again."),
    "stop": ("trivet.cli.start_stop:stop", "Stop a bank or a server on purpose."),
    "bank": ("trivet.cli.bank:app", "Add and replace servers while people work."),
    "status": ("trivet.cli.status:status", "Show what is well and what is not."),
    "verify": ("trivet.cli.verify:verify", "Look at every copy; change nothing."),
    "repair": ("trivet.cli.repair:repair", "Fix what is damaged, or say what would be fixed."),
    "repairs": ("trivet.cli.repair:repairs", "List what was repaired."),
    "scrub": ("trivet.cli.scrub:scrub", "Steer the slow reading of every copy."),
    "quota": ("trivet.cli.quota:app", "Limit how much may be below a folder."),
    "snapshot": ("trivet.cli.snapshot:app", "The drive as it was: kept, shown, brought back."),
    "export": ("trivet.cli.export:export", "The drive, or a folder of it, as a tar or to a store."),
    "import": ("trivet.cli.importing:import_", "A tar or a store into the drive, whole or not at all."),
    "recover": ("trivet.cli.recover:recover", "Say what a loss takes; accept it, so that the drive serves."),
    "serve": ("trivet.cli.serve:app", "Run one process of the drive by hand."),
    "volume": ("trivet.cli.volume_init:app", "Make the description and the key of a drive."),
    "check": ("trivet.cli.check:check", "Say which files in any folder are damaged or mislabelled."),
    "user": ("trivet.cli.user:app", "Who may use the drive over HTTP."),
    "token": ("trivet.cli.token:app", "Keys for programs: below one path, reading or changing."),
    "upstream": ("trivet.cli.upstream:app", "A vendor's drive behind a folder of this one."),
    "transfers": ("trivet.cli.transfers:app", "What goes to and comes from vendors, and who waits."),
    "cache": ("trivet.cli.cache:app", "What is kept of vendors: hit rates, limits, what is fetched ahead."),
    "cgi": ("trivet.cli.cgi:cgi", "Run a CGI program for a test; leave no process behind."),
    "runs": ("trivet.cli.runs:app", "Where the time of test runs goes: chart, statistics, what changed."),
    "logs": ("trivet.cli.logs:app", "Access logs: live monitor with alerts, report, generator."),
    "floods": ("trivet.cli.floods:app", "Find devices and fleets in access logs that flood a server."),
    "uptime": ("trivet.cli.uptime:app", "Say how often services were slow or down."),
    "wire": ("trivet.cli.wire:wire", "Every HTTP exchange of a capture, with its timings."),
}

for _name, (_place, _help) in VERBS.items():
    app.command(_place, name=_name, help=_help)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code: 0 well, 1 found something, 2 wrong use, 3 could not."""
    try:
        result = app(list(arguments), result_action="return_value", exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"trivet: {explained(error)}", file=sys.stderr)
        return 2
    except TrivetError as error:
        print(f"trivet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def main() -> None:
    """Entry point of the command `trivet`; ends as SIGPIPE ends a tool once nobody reads its output."""
    publish()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = NOBODY_READS
    except SystemExit as end:  # rich's answer to a broken pipe
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        code = NOBODY_READS
    _let_go_of_broken_pipes()
    sys.exit(code)


def _let_go_of_broken_pipes() -> None:
    """Point streams that nobody reads nowhere, so that Python's own flush at the end does not complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
