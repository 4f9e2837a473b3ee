"""`trivet logs generate` keeps its pace and `trivet logs replay` the distances between lines."""

import re
import subprocess
import sys
import time
from pathlib import Path

from trivet.wire.access_log import parse_combined, split_lines


def trivet(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `trivet logs` with `arguments`."""
    return subprocess.run(
        [sys.executable, "-m", "trivet", "logs", *arguments], capture_output=True, timeout=100
    )


def targets(data: bytes) -> list[bytes]:
    """Return what the records in `data` asked for."""
    return [record.target for line in split_lines(data) if (record := parse_combined(line))]


def test_pace_and_number_of_lines() -> None:
    done = trivet("generate", "--rate", "400", "--for", "2", "--seed", "1")
    assert done.returncode == 0
    lines = split_lines(done.stdout)
    assert 700 <= len(lines) <= 820
    assert all(parse_combined(line) for line in lines)
    record = parse_combined(lines[0])
    assert record is not None
    assert abs(record.time_s - time.time()) < 30
    assert re.search(rb"\d+ lines in 2\.\d s, \d+ lines/s", done.stderr)


def test_a_pace_out_of_reach_is_told() -> None:
    done = trivet("generate", "/dev/null", "--rate", "500000", "--for", "1", "--burst-every", "1000",
                  "--burst-length", "1000", "--burst-times", "50")  # fmt: skip
    assert b"could not be held" in done.stderr


def test_factor_sets_the_variety_and_the_seed_the_requests() -> None:
    few = trivet("generate", "--rate", "50000", "--lines", "9000", "--factor", "0.1", "--seed", "5").stdout
    many = trivet("generate", "--rate", "50000", "--lines", "9000", "--factor", "5", "--seed", "5").stdout
    again = trivet("generate", "--rate", "50000", "--lines", "9000", "--factor", "5", "--seed", "5").stdout
    assert len(set(targets(few))) <= 100 < len(set(targets(many)))
    assert targets(again) == targets(many)


def test_floods_fleets_and_damage() -> None:
    data = trivet("generate", "--rate", "5000", "--lines", "4000", "--seed", "2", "--flood", "0.25",
                  "--malformed", "0.1", "--devices", "30", "--device-period", "0.3").stdout  # fmt: skip
    records = [parse_combined(line) for line in split_lines(data)]
    good = [record for record in records if record]
    assert 300 <= len(records) - len(good) <= 500
    assert 850 <= sum(record.ip == b"203.0.113.77" for record in good) <= 1150
    fleet = [record for record in good if record.target == b"/api/v1/checkin"]
    assert len({record.ip for record in fleet}) == 30
    assert len(fleet) >= 60


def test_replay_keeps_distances_and_lines(tmp_path: Path) -> None:
    stamps = [f"05/Jun/2024:10:00:{second:02} +0000" for second in (0, 0, 10, 40)]
    data = "".join(f'10.0.0.1 - - [{stamp}] "GET /a HTTP/1.1" 200 1\n' for stamp in stamps) + "junk\n"
    path, out = tmp_path / "a.log", tmp_path / "b.log"
    path.write_text(data)
    began_s = time.monotonic()
    assert trivet("replay", str(path), str(out), "--speed", "20").returncode == 0
    assert time.monotonic() - began_s >= 2.0
    assert out.read_text() == data
    fresh = trivet("replay", str(path), "--speed", "1000", "--restamp").stdout
    record = parse_combined(split_lines(fresh)[0])
    assert record is not None
    assert abs(record.time_s - time.time()) < 30


def test_wrong_use_is_told() -> None:
    for arguments in (
        ("generate", "--rate", "0"),
        ("generate", "--factor", "0"),
        ("generate", "--flood", "2"),
    ):
        done = trivet(*arguments)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
    assert trivet("replay", "/nonexistent").returncode == 2
