"""`trivet cgi` as it is typed: the database update that must be visible, and the three ways to hang."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

STORE = """#!{python}
import os, sqlite3, sys
body = sys.stdin.read(int(os.environ["CONTENT_LENGTH"]))
db = sqlite3.connect("state.db")
db.execute("create table if not exists posts (body text)")
db.execute("insert into posts values (?)", (body,))
db.commit()
print("Content-Type: text/plain\\n")
print("stored", len(body), os.getpid(), os.environ.get("PATH_INFO"), "HTTP_PROXY" in os.environ)
"""


def script(tmp_path: Path, text: str, name: str = "store.cgi") -> Path:
    """Write an executable program."""
    path = tmp_path / name
    path.write_text(text.replace("{python}", sys.executable))
    path.chmod(0o755)
    return path


def trivet(*words: object, timeout_s: float = 60, body: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "trivet", "cgi", *map(str, words)],
        capture_output=True,
        text=True,
        input=body,
        timeout=timeout_s,
        env={**os.environ, "HTTP_PROXY": "http://evil.example"},
    )


def test_a_database_update_is_visible_and_the_process_gone(tmp_path: Path) -> None:
    posted = "name=value&x=" + "y" * 100_000
    done = trivet(
        script(tmp_path, STORE), "--post-file", "-", "--path-info", "/7", "--header", "Proxy: x", body=posted
    )
    assert (done.returncode, done.stderr) == (0, "")
    header, _, body = done.stdout.partition("\n\n")
    assert header == "Status: 200 OK\nContent-Type: text/plain"
    word, size, pid, path_info, proxied = body.split()
    assert (word, size, path_info, proxied) == ("stored", "100013", "/7", "False")
    assert not Path(f"/proc/{pid}").exists()
    with sqlite3.connect(tmp_path / "state.db") as db:
        assert db.execute("select length(body) from posts").fetchall() == [(100_013,)]


def test_a_program_that_is_not_read_is_no_hang(tmp_path: Path) -> None:
    """It writes more than any pipe holds and reads nothing of a body larger than any pipe."""
    (tmp_path / "body").write_bytes(b"x" * 300_000)
    path = script(tmp_path, "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'; head -c 3000000 /dev/zero\n")
    done = trivet(path, "--post-file", tmp_path / "body", "--max-output", 1000, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["body_unread_bytes"]) == (0, 200, 300_000)
    assert told["output_dropped_bytes"] == 3_000_000 + len("Content-Type: a/b\n\n") - 1000


def test_a_program_that_never_ends(tmp_path: Path) -> None:
    before_s = time.monotonic()
    done = trivet(
        script(tmp_path, "#!/bin/sh\ntrap '' TERM\necho $$ > pid\nwhile :; do sleep 9; done\n"),
        "--timeout",
        "0.5",
    )
    assert time.monotonic() - before_s < 20
    assert done.returncode == 3
    assert "did not end within 0.5 s and was killed" in done.stderr
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_program_that_leaves_a_background_child(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "#!/bin/sh\nsetsid sh -c 'echo $$ > pid; exec sleep 999' &\n"
        "while ! [ -s pid ]; do sleep 0.01; done\nprintf 'Content-Type: a/b\\n\\nhere'\n",
    )
    done = trivet(path)
    assert (done.returncode, done.stdout) == (0, "Status: 200 OK\nContent-Type: a/b\n\nhere")
    pid = (tmp_path / "pid").read_text().strip()
    assert f"(pid {pid})" in done.stderr
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("name", "text", "code", "told"),
    [
        ("nph-x.cgi", "#!/bin/sh\n", 2, "non-parsed headers"),
        ("own.cgi", "#!/bin/sh\nprintf 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n", 3, "status line of its own"),
        ("odd.cgi", "#!/no/such/interpreter\n", 3, "can't run"),
        ("crash.cgi", "#!/bin/sh\necho why >&2; kill -SEGV $$\n", 3, "by signal 11"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, text: str, code: int, told: str) -> None:
    done = trivet(script(tmp_path, text, name))
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_use(tmp_path: Path) -> None:
    assert "no CGI program" in trivet(tmp_path / "none").stderr
    plain = tmp_path / "plain.cgi"
    plain.write_text("#!/bin/sh\n")
    assert "chmod +x" in trivet(plain).stderr
    plain.chmod(0o755)
    assert "can't read the body" in trivet(plain, "--post-file", tmp_path / "none").stderr
    assert "NAME:VALUE" in trivet(plain, "--header", "x").stderr
    assert "must be above 0" in trivet(plain, "--timeout", "nan").stderr


def test_path_translated_and_what_a_head_request_must_not_bring(tmp_path: Path) -> None:
    told = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"; echo "$PATH_TRANSLATED"\n'
    done = trivet(script(tmp_path, told), "--path-info", "/a%20b", "--method", "HEAD")
    assert done.stdout.endswith(f"\n\n{tmp_path}/a b\n")
    assert "it answered HEAD with a body" in done.stderr
    rooted = trivet(tmp_path / "store.cgi", "--path-info", "/a", "--document-root", "/srv/www")
    assert rooted.stdout.endswith("\n\n/srv/www/a\n")


def test_what_a_hung_program_wrote_is_shown(tmp_path: Path) -> None:
    done = trivet(script(tmp_path, "#!/bin/sh\necho half\nsleep 600\n"), "--timeout", 0.5)
    assert done.returncode == 3
    assert "did not end within 0.5 s and was killed" in done.stderr
    assert r"what it wrote begins 'half\n'" in done.stderr
