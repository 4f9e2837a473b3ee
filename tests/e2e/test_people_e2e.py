"""`trivet user` and `trivet token` as people type them, on a drive that is not running."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path) -> Path:
    assert _trivet("volume", "init", state=tmp_path / "state").returncode == 0
    return tmp_path / "state"


def _trivet(*words: str, state: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trivet", *words, "--state", str(state)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def test_a_user_is_added_changed_and_shut_out(state: Path) -> None:
    added = _trivet(
        "user", "add", "ann", "--password-stdin", "--group", "staff", state=state, stdin="long enough\n"
    )
    assert (added.returncode, added.stdout) == (0, "added ann, who may read and change /\n")
    assert _trivet("user", "passwd", "ann", "--password-stdin", state=state, stdin="short\n").returncode == 2
    assert (
        _trivet("user", "passwd", "ann", "--password-stdin", state=state, stdin="longer yet\n").returncode
        == 0
    )
    assert _trivet("user", "disable", "ann", state=state).stdout == "ann is shut out\n"
    (user,) = json.loads(_trivet("user", "list", "--json", state=state).stdout)["users"]
    assert (user["name"], user["groups"], user["disabled"], user["password"]) == (
        "ann",
        ["staff"],
        True,
        True,
    )
    again = _trivet("user", "add", "ann", "--no-password", state=state)
    assert (again.returncode, again.stderr) == (2, "trivet: there is a user ann already\n")


def test_a_token_is_told_once_and_revoked(state: Path) -> None:
    _trivet("user", "add", "ann", "--no-password", state=state)
    made = _trivet(
        "token", "create", "--user", "ann", "--scope", "/docs", "--verbs", "r", "--json", state=state
    )
    secret, token = json.loads(made.stdout)["secret"], json.loads(made.stdout)["token"]
    assert token["path"] == "/docs"
    listed = _trivet("token", "list", "--json", state=state).stdout
    assert secret not in listed
    assert _trivet("token", "revoke", token["id"], state=state).returncode == 0
    assert json.loads(_trivet("token", "list", "--json", state=state).stdout)["tokens"][0]["revoked_at_s"]
    assert _trivet("token", "revoke", token["id"], state=state).returncode == 2
    bad = _trivet("token", "create", "--user", "ann", "--scope", "docs", "--verbs", "r", state=state)
    assert bad.returncode == 2
    assert "absolute path" in bad.stderr


def test_a_folder_without_a_drive_is_refused_and_stays_empty(tmp_path: Path) -> None:
    refused = _trivet("user", "list", state=tmp_path / "typo")
    assert refused.returncode == 2
    assert "holds no volume" in refused.stderr
    assert not (tmp_path / "typo").exists()
