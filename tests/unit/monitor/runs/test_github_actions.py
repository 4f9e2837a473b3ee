"""Jobs of GitHub Actions: what is made of a file of the shape that its REST API publishes."""

import json
from pathlib import Path

from trivet.insight.runs.statistics import run_statistics
from trivet.monitor.runs.analysis import Question, analyse


def github_job(**given: object) -> dict[str, object]:
    """A job with all fields of GitHub's published schema (REST API, "Job"); made by hand, not recorded.

    It is the one format here whose file no real tool wrote: that takes an account and a workflow.
    """
    at = "https://api.github.com/repos/o/r/actions"
    plain = {
        "id": 21,
        "run_id": 7,
        "run_url": f"{at}/runs/7",
        "run_attempt": 2,
        "node_id": "MDg6Q2hlY2tSdW40",
    }
    plain |= {"head_sha": "009b8a3a", "url": f"{at}/jobs/21", "html_url": None, "status": "completed"}
    plain |= {"conclusion": "success", "created_at": "2024-06-05T12:00:00Z", "name": "linux"}
    plain |= {"started_at": "2024-06-05T12:00:04Z", "completed_at": "2024-06-05T12:01:10Z", "steps": []}
    plain |= {"check_run_url": f"{at}/check-runs/4", "labels": ["ubuntu-latest"], "runner_id": 1}
    plain |= {"runner_name": "bench 1", "runner_group_id": 2, "runner_group_name": "Default"}
    return plain | {"workflow_name": "CI", "head_branch": "main"} | given


def test_github_actions_jobs(tmp_path: Path) -> None:
    step = {"name": "Build", "status": "completed", "conclusion": "success", "number": 1}
    step |= {"started_at": "2024-06-05T12:00:05Z", "completed_at": "2024-06-05T12:01:05Z"}
    skipped = {"name": "Upload", "status": "completed", "conclusion": "skipped", "number": 2}
    skipped |= {"started_at": None, "completed_at": None}
    waiting = {"id": 22, "status": "queued", "conclusion": None, "name": "waiting", "runner_name": None}
    waiting |= {"started_at": None, "completed_at": None}
    jobs = [github_job(steps=[step, skipped]), github_job(**waiting)]
    (tmp_path / "jobs.json").write_text(json.dumps({"total_count": 2, "jobs": jobs}))
    analysis = analyse([tmp_path / "jobs.json"], Question())
    assert [phase.name for phase in analysis.phases] == ["queue", "Build"]
    assert analysis.events.table.run_id(0) == "7.2 linux"
    assert analysis.events.table.dimensions["runner_name"].values == ["bench 1"]
    assert run_statistics(analysis.events, analysis.phases).event_counts["job_finish"] == 1
    (odd,) = [finding for finding in analysis.findings if finding.rule == "bad-rows"]
    assert "has not started" in odd.words
