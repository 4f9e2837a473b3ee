"""`trivet logs --follow`: a live board on a terminal, lines elsewhere."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trivet.errors import InputError
from trivet.insight.logs.alert import AlertRule
from trivet.io.log_tail import LogTail
from trivet.monitor.logs.follow import follow_plainly
from trivet.monitor.logs.live import LiveLogs
from trivet.monitor.logs.page import html_report
from trivet.monitor.logs.sinks import Sink, command_sink, file_sink, hook_sink
from trivet.wire.access_formats import named_format

if TYPE_CHECKING:
    from trivet.cli.logs import FollowOptions, ReadingOptions


def follow(
    files: Sequence[str], options: "FollowOptions", reading: "ReadingOptions", rule: AlertRule, *,
    json_lines: bool, html: Path | None,
) -> int:  # fmt: skip
    """Follow `files` until a signal or the time asked for; return 0."""
    from trivet.cli.logs import open_for_writing, tell

    if "-" in files:
        raise InputError("standard input can't be followed; name files, or leave --follow out")
    if options.every <= 0:
        raise InputError("--every must be more than 0 seconds")
    if options.for_ is not None and options.for_ <= 0:
        raise InputError("--for must be more than 0 seconds")
    if reading.format:
        named_format(reading.format, b"")
    if html:
        open_for_writing(html, "a").close()
    if reading.bad_lines:
        raise InputError("--bad-lines is for logs that are read at once; leave --follow out")
    sinks: list[Sink] = []
    if options.alert_file:
        sinks.append(file_sink(options.alert_file))
    if options.alert_command:
        sinks.append(command_sink(options.alert_command))
    if options.alert_webhook:
        sinks.append(hook_sink(options.alert_webhook))
    tail = LogTail(files, options.from_start)
    live = LiveLogs(tail, rule, reading.engine, reading.format, reading.memory_mb << 20)
    try:
        if options.board and sys.stdout.isatty() and not json_lines:
            from trivet.monitor.logs.board import LogBoard

            board = LogBoard(live, sinks, options.every, options.for_)
            board.run()
            if board.failed is not None:
                raise board.failed
        else:
            asyncio.run(
                follow_plainly(
                    live,
                    sinks,
                    show=_show,
                    say=tell,
                    as_json_lines=json_lines,
                    every_s=options.every,
                    for_s=options.for_,
                )
            )
    finally:
        tail.close()
    if html:
        with open_for_writing(html) as page:
            page.write(html_report(live.reading(), live.alerts))
        tell(f"wrote {html}")
    return 0


def _show(line: str) -> None:
    print(line, flush=True)
