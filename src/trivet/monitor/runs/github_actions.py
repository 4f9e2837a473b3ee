"""Jobs of GitHub Actions, as its REST API lists them: a job is a run, its steps are phases.

Rule: `gh api repos/OWNER/REPO/actions/runs/ID/jobs --paginate` writes such a file; several may follow
each other. Times are whole seconds: shorter steps take 0 s, and that is said.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.insight.runs.event_table import SECOND_NS
from trivet.monitor.runs.json_values import decode_json
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.span_events import SpanEvents, json_document, list_in

_TAGS = ("workflow_name", "head_branch", "runner_name", "runner_group_name", "conclusion")


def read_github_actions(path: Path, reading: Reading) -> None:
    """Read one file of jobs."""
    events = SpanEvents(reading)
    jobs = 0
    for document in _documents(path):
        for job in list_in(document, "jobs"):
            jobs += 1
            _add(job, events, reading, path)
    if not jobs:
        raise InputError(f"{path.name} lists no jobs of GitHub Actions")
    events.flush()
    reading.note("whole-seconds", f"{path.name}: GitHub tells whole seconds; shorter steps take 0 s")


def _documents(path: Path) -> Iterator[Any]:
    """The document, or those of each line where `--paginate` wrote several."""
    lines = (
        [line for line in path.read_bytes().splitlines() if line.strip()]
        if path.stat().st_size < 1 << 28
        else []
    )
    try:
        decoded = [decode_json(line) for line in lines]
    except ValueError:
        decoded = []
    document = decoded if len(decoded) > 1 else json_document(path)
    yield from document if isinstance(document, list) else [document]


def _add(job: dict[str, Any], events: SpanEvents, reading: Reading, path: Path) -> None:
    begin, end = _moment(job.get("started_at")), _moment(job.get("completed_at"))
    if begin is None:
        reading.bad(path.name, f"the job '{str(job.get('name'))[:60]}' has not started")
        return
    run = f"{job.get('run_id', '')}.{job.get('run_attempt', 1)} {job.get('name', job.get('id', 'job'))}"
    dimensions = {tag: str(job[tag]) for tag in _TAGS if job.get(tag)}
    labels = job.get("labels")
    if isinstance(labels, list) and labels:
        dimensions["labels"] = ",".join(map(str, labels))
    dimensions["job"] = str(job.get("name", ""))
    created = _moment(job.get("created_at"))
    if created is not None:
        events.event(run, "queue_start", created, dimensions)
        events.event(run, "queue_end", begin, dimensions)
    events.event(run, "job_begin", begin, dimensions)
    for step in list_in(job, "steps"):
        started = _moment(step.get("started_at"))
        if started is not None:
            name = str(step.get("name") or f"step {step.get('number')}")
            events.span(run, name, started, _moment(step.get("completed_at")), dimensions)
    if end is not None:
        events.event(run, "job_finish", end, dimensions)


def _moment(words: object) -> int | None:
    try:
        moment = datetime.datetime.fromisoformat(str(words))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return round(moment.timestamp()) * SECOND_NS
