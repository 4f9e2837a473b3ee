"""The words of the verbs about a drive: ports, spans, paths, findings."""

from pathlib import Path

import pytest

from trivet.cli.drive_paths import drive_path
from trivet.cli.findings_text import dated_line, finding_line, is_whole, report_lines
from trivet.cli.ports_option import bases_of
from trivet.cli.repair import span_s
from trivet.cli.start_stop import ports_meant
from trivet.errors import ConfigError, InputError
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.volume_setup import make_volume
from trivet.wire.control_messages import CheckReport, Finding

CONFIG = VolumeConfig("00ff", [7000, 8000, 9000], 3)
BAD = Finding("found", "/a b", "extent", 8001, "checksum differs", 0.0, 7001, [(0, 4096), (8192, 8193)])


def test_a_base_means_its_bank() -> None:
    assert ports_meant(CONFIG, 9000, only_server=False) == [9000, 9001, 9002]
    assert ports_meant(CONFIG, 9000, only_server=True) == [9000]
    assert ports_meant(CONFIG, 9001, only_server=False) == [9001]
    with pytest.raises(ConfigError, match="none of this volume's servers"):
        ports_meant(CONFIG, 9003, only_server=False)


def test_spans() -> None:
    assert [span_s(t) for t in ("90", "90s", "1.5m", "2h", "1d")] == [90, 90, 90, 7200, 86400]
    for wrong in ("", "m", "5x", "-5m", "1h30m"):
        with pytest.raises(InputError, match="like 15m"):
            span_s(wrong)


def test_ports_option() -> None:
    assert bases_of(None) is None
    assert bases_of("7000,8000,9000") == [7000, 8000, 9000]
    with pytest.raises(InputError):
        bases_of("7000;8000")


def test_findings_name_everything() -> None:
    line = finding_line(BAD)
    for word in ("found", "/a b", "[extent]", "0-4095, 8192-8192", "8001", "checksum differs", "7001"):
        assert word in line
    assert dated_line(BAD).startswith(("1970-01-01", "1969-12-31"))


def test_a_report_is_whole_only_when_nothing_stays_open() -> None:
    whole = CheckReport(3, 1, 4096, 0.5)
    assert is_whole(whole)
    assert "all whole" in report_lines(whole)[-1]
    fixed = Finding("fixed", "/a", "page", 7000, "missing", 0.0, 8000)
    assert is_whole(CheckReport(3, 1, 4096, 0.5, [fixed]))
    for report in (
        CheckReport(3, 1, 4096, 0.5, [fixed, BAD]),
        CheckReport(3, 1, 4096, 0.5, findings_left_out=1),
        CheckReport(3, 1, 4096, 0.5, complete=False),
    ):
        assert not is_whole(report)
    assert "1 found, 1 fixed" in report_lines(CheckReport(3, 1, 4096, 0.5, [fixed, BAD]))[-1]


def test_paths_inside_the_drive(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "state")
    make_volume(folder, [7000, 8000, 9000], 1, "default")
    assert drive_path(folder, None) == "/"
    assert drive_path(folder, Path("/a/b")) == "/a/b"
    with pytest.raises(InputError, match="not in the drive"):
        drive_path(folder, Path("a/b"))
