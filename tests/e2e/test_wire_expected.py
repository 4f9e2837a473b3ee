"""`trivet wire` on public captures: every number that is known of them, with no tshark on the PATH."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "captures"

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no public captures at {CAPTURES}")


def trivet_wire(*words: object, path: str = os.defpath) -> dict[str, Any]:
    """Run the command as typed, with `path` as the PATH, and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "trivet", "wire", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("name", "connections", "http"),
    [
        ("chrissanders_http_espn.pcapng", (956, 25, 25), (61, 60, 60)),
        ("zeek_bro.org.pcap", (751, 13, 13), (31, 30, 30)),
        ("zeek_methods.pcap", (655, 49, 49), (49, 49, 49)),
        ("zeek_1000-requests-one-dropped-response.pcap.gz", (4102, 1, 1), (1000, 999, 999)),
        ("zeek_pipelined-requests.pcap", (49, 1, 1), (5, 5, 5)),
        ("zeek_tls-1.2-stream-keylog.pcap", (237, 1, 1), (0, 0, 0)),
    ],
)
def test_counts_without_tshark(
    tmp_path: Path, name: str, connections: tuple[int, ...], http: tuple[int, ...]
) -> None:
    told = trivet_wire(CAPTURES / name, path=str(tmp_path))
    assert tuple(told[key] for key in ("packets", "streams", "opened")) == connections
    assert tuple(told[key] for key in ("requests", "responses", "pairs")) == http
    assert any("tshark" in note for note in told["notes"])


def test_silent_connections_and_reuse() -> None:
    told = trivet_wire(CAPTURES / "zeek_bro.org.pcap")
    assert told["silent"] == 5
    assert [row["stream"] for row in told["connections"] if row["silent"]] == [8, 9, 10, 11, 12]
    assert told["reused"] == 7


def test_the_request_whose_response_was_dropped() -> None:
    told = trivet_wire(CAPTURES / "zeek_1000-requests-one-dropped-response.pcap.gz")
    alone = [row for row in told["exchanges"] if row["status"] is None]
    assert [(row["request_frame"], row["number"]) for row in alone] == [(4, 0)]
    assert all(0 < row["wait_s"] < 0.1 for row in told["exchanges"] if row["status"] is not None)


def test_pipelined_pairs_go_by_order() -> None:
    rows = trivet_wire(CAPTURES / "zeek_pipelined-requests.pcap")["exchanges"]
    types = {".css": "text/css", ".js": "application/x-javascript", ".gif": "image/gif", ".png": "image/png"}
    assert [row["content_type"] for row in rows] == [types[Path(row["url"]).suffix] for row in rows]


def test_tls_without_keys_says_what_can_not_be_counted() -> None:
    told = trivet_wire(CAPTURES / "zeek_tls-1.2-stream-keylog.pcap")
    (row,) = told["connections"]
    assert (row["server_name"], row["alpn"], row["tls_version"]) == ("www.heise.de", "http/1.1", "TLS 1.2")
    note = next(note for note in told["notes"] if "TLS" in note)
    assert "--keylog" in note
    assert "trivet logs" in note
    assert "37 turns" in note


def test_connections_to_one_server_and_one_stream() -> None:
    told = trivet_wire(CAPTURES / "chrissanders_http_espn.pcapng", "--server", "68.71.208.177")
    assert told["streams"] == told["opened"] == len(told["connections"]) > 0
    assert {row["server"] for row in told["connections"]} == {"68.71.208.177:80"}
    stream = told["connections"][0]["stream"]
    one = trivet_wire(CAPTURES / "chrissanders_http_espn.pcapng", "--stream", stream)
    assert one["streams"] == 1
    assert {row["stream"] for row in one["exchanges"]} == {stream}
