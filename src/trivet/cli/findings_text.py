"""How findings are told to people: one line each, always with the path, the place and the reason."""

from datetime import datetime

from trivet.supervise.health_words import duration_text
from trivet.supervise.live_view import size_text
from trivet.wire.control_messages import CheckReport, Finding

VERDICTS = ("found", "would fix", "fixed", "cannot fix")


def finding_line(finding: Finding) -> str:
    """Return one finding as a line: verdict, path, item, bytes, server, reason, source."""
    ranges = ", ".join(f"{first}-{behind - 1}" for first, behind in finding.ranges)
    place = f" bytes {ranges}" if ranges else ""
    source = "" if finding.source is None else f" (good copy: {finding.source})"
    item = f" [{finding.item}]"
    return (
        f"{finding.verdict:<10} {finding.path}{item}{place} on server {finding.server}: {finding.why}{source}"
    )


def dated_line(finding: Finding) -> str:
    """Return one finding as a line that begins with its local date and time."""
    when = datetime.fromtimestamp(finding.at_s).astimezone().isoformat(" ", "milliseconds")
    return f"{when}  {finding_line(finding)}"


def open_line(finding: Finding, now_s: float) -> str:
    """Return one finding that is not repaired yet as a line that begins with its age."""
    return f"open for {duration_text(now_s - (finding.found_s or finding.at_s))}  {finding_line(finding)}"


def report_lines(report: CheckReport) -> list[str]:
    """Return a whole report: findings, how many of each verdict, what was looked at."""
    lines = [finding_line(finding) for finding in report.findings]
    if report.findings_left_out:
        lines.append(f"... and {report.findings_left_out} more")
    lines.extend(f"! {note}" for note in report.notes)
    counts = {verdict: sum(f.verdict == verdict for f in report.findings) for verdict in VERDICTS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    looked_at = (
        f"Looked at {report.checked_records:,} records and {report.checked_blobs:,} blobs "
        f"({size_text(report.checked_bytes)}) in {report.took_s:.1f} s"
    )
    lines.append(f"{looked_at}: {told or 'all whole'}.")
    if not report.complete:
        lines.append("Not everything could be looked at: see `trivet status`.")
    return lines


def is_whole(report: CheckReport) -> bool:
    """Tell whether nothing stays damaged: all findings are fixed and everything was looked at."""
    open_ones = any(finding.verdict != "fixed" for finding in report.findings)
    return report.complete and not open_ones and not report.findings_left_out
