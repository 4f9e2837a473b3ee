"""Files of events as real tools write them, and files that are damaged or meant to hurt."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN
from trivet.monitor.runs.analysis import Analysis, Question, analyse
from trivet.monitor.runs.event_files import read_files
from trivet.monitor.runs.time_columns import TimeFormat

DATA = Path(__file__).parent / "data"
HEADER = "testrun_id,event_name,event_emit,event_receive\n"


def rows_of(path: Path, **options: str) -> list[tuple[str, str, int, int]]:
    """(run, event, emit, receive) of a file's events."""
    table = read_files([path], times=TimeFormat(**options)).table
    columns = zip(
        table.run.tolist(), table.name.tolist(), table.emit.tolist(), table.receive.tolist(), strict=True
    )
    return [(table.run_id(run), table.names[name], emit, receive) for run, name, emit, receive in columns]


def rules_of(path: Path) -> dict[str, str]:
    """{rule: words} of what was odd while reading."""
    return {finding.rule: finding.words for finding in read_files([path], times=TimeFormat()).findings}


def phases(path: Path) -> tuple[Analysis, dict[str, int]]:
    """The analysis of a file, and its number of events of each name."""
    from trivet.insight.runs.statistics import run_statistics

    analysis = analyse([path], Question())
    return analysis, run_statistics(analysis.events, analysis.phases).event_counts


def test_pytables_wrote_this(tmp_path: Path) -> None:
    analysis, counts = phases(DATA / "pytables.h5")
    assert counts == dict.fromkeys(
        ["request", "queue_start", "queue_end", "flash_start", "flash_end", "publish"], 6
    )
    assert sorted(analysis.events.table.dimensions["device_group"].values) == [
        "device_group_1",
        "device_group_2",
    ]


def test_h5py_wrote_this_with_times_as_floats_and_names_of_the_other_shape(tmp_path: Path) -> None:
    kind = [("testrun_id", "S4"), ("event_name", "S8"), ("event_emit", "f8"), ("event_receive", "f8")]
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("g/events", data=np.array([(b"a", b"x", 1.5, np.nan)], kind))
        file.create_dataset("g/notes", data=np.zeros(3))
    assert rows_of(tmp_path / "e.h5") == [("a", "x", 1_500_000_000, UNKNOWN)]


def test_the_opentelemetry_sdk_wrote_this() -> None:
    analysis, counts = phases(DATA / "otlp_sdk.jsonl")
    assert [phase.name for phase in analysis.phases] == ["flash", "test", "assert"]
    assert counts["flash_start"] == counts["assert_end"] == counts["trace_begin"] == 3
    assert analysis.events.table.dimensions["device_group"].values == ["phones"]
    assert any("ValueError" in value for value in analysis.events.table.dimensions["error"].values)


def test_pytest_writes_junit(tmp_path: Path) -> None:
    code = "import time\nclass TestFlash:\n def test_a(self): time.sleep(.02)\n def test_b(self): assert 0\n"
    (tmp_path / "test_made.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "--junitxml=j.xml", "test_made.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    analysis, counts = phases(tmp_path / "j.xml")
    assert counts == {
        "suite_begin": 1,
        "suite_finish": 1,
        "test_made.TestFlash_start": 2,
        "test_made.TestFlash_end": 2,
    }
    assert analysis.events.table.dimensions["outcome"].values == ["failed"]
    assert "assumed-order" in rules_of(tmp_path / "j.xml")


def test_junit_that_tells_no_time_or_attacks(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<testsuite name="s"><testcase name="t" time="1,200.5"/><testcase name="u"/></testsuite>'
    )
    assert {"unknown-begin", "assumed-order", "bad-rows"} <= rules_of(tmp_path / "a.xml").keys()
    assert ("a.xml:s", "t_end", 1_200_500_000_000, UNKNOWN) in rows_of(tmp_path / "a.xml")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>'
    for name, words, match in (
        ("b.xml", bomb, "declares"),
        ("c.xml", "<a>", "no readable XML"),
        ("d.xml", "<a/>", "no <testsuite>"),
    ):
        (tmp_path / name).write_text(words)
        with pytest.raises(InputError, match=match):
            rows_of(tmp_path / name)


def test_chrome_trace_slices_and_what_is_none(tmp_path: Path) -> None:
    entries = [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "main"}},
        {"ph": "X", "name": "layout", "pid": 1, "tid": 2, "ts": 10, "dur": 5},
        {"ph": "X", "name": "layout", "pid": 1, "tid": 2, "ts": 11, "dur": 2},
        {"ph": "B", "name": "paint", "pid": 1, "tid": 2, "ts": 20},
        {"ph": "E", "name": "paint", "pid": 1, "tid": 2, "ts": 22.5},
        {"ph": "C", "name": "memory", "pid": 1, "ts": 3, "args": {"MB": 5}},
        {"ph": "X", "name": "broken", "pid": 1, "tid": 2, "ts": "soon"},
    ]
    (tmp_path / "t.json").write_text(json.dumps({"traceEvents": entries}))
    run = "process 1 / main 2"
    assert [row[:3] for row in rows_of(tmp_path / "t.json")] == [
        (run, "layout_start", 10_000),
        (run, "layout_end", 15_000),
        (run, "paint_start", 20_000),
        (run, "paint_end", 22_500),
    ]
    assert "1 of kind C" in rules_of(tmp_path / "t.json")["passed-over"]
    assert "bad-rows" in rules_of(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 10**9), ("ms", 10**6), ("us", 1000), ("ns", 1), ("min", 60 * 10**9)]
)
def test_units(tmp_path: Path, unit: str, factor: int) -> None:
    (tmp_path / "e.csv").write_text(HEADER + "a,x,120,121\n")
    assert rows_of(tmp_path / "e.csv", unit=unit) == [("a", "x", 120 * factor, 121 * factor)]


def test_dates_with_and_without_a_zone(tmp_path: Path) -> None:
    dates = [
        "2024-06-05T12:00:00Z",
        "2024-06-05 14:00:00+02:00",
        "2024-06-05T14:00:00",
        "2024-02-30T14:00:00",
    ]
    (tmp_path / "e.csv").write_text(HEADER + "".join(f"a,x{n},{date},\n" for n, date in enumerate(dates)))
    moments = {row[2] for row in rows_of(tmp_path / "e.csv", zone="Europe/Berlin")}
    assert moments == {1_717_588_800_000_000_000}
    assert "2024-02-30" in rules_of(tmp_path / "e.csv")["bad-rows"]


def test_rows_that_are_no_events_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    rows = ["a,x,1,2", "b,x,soon,2", ",x,1,2", "c,,1,2", "d,x,1", "e,x,1e30,2", '"f,x,3,4', "g,x,5,6"]
    (tmp_path / "e.csv.gz").write_bytes(
        gzip.compress((HEADER + "\n".join(rows[:6] + rows[7:]) + "\n").encode())
    )
    assert [row[0] for row in rows_of(tmp_path / "e.csv.gz")] == ["a", "g"]
    assert rules_of(tmp_path / "e.csv.gz")["bad-rows"].startswith("5 rows are no events")


def test_json_lines_with_everything_in_them(tmp_path: Path) -> None:
    lines = [
        '{"testrun_id": 7, "event_name": "x", "event_emit": 1.5, "host_worker_instances": [["h",1],["h",2]]}',
        "not json",
        "[1, 2]",
        "",
        '{"testrun_id": "8", "event_name": "x", "event_emit": "2024-06-05T12:00:00Z", "queue": {"deep": 1}}',
        '{"event_name": "x", "event_emit": 3}',
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    assert [row[0] for row in rows_of(tmp_path / "e.jsonl")] == ["7", "8"]
    assert rules_of(tmp_path / "e.jsonl")["bad-rows"].startswith("3 rows")
    table = read_files([tmp_path / "e.jsonl"], times=TimeFormat()).table
    assert sorted(table.dimensions["host_worker_instances"].values) == ["h/1", "h/2"]


def test_parquet_with_numbers_as_runs_and_real_timestamps(tmp_path: Path) -> None:
    times = pa.array([1_717_588_800_000_000], pa.timestamp("us", "UTC"))
    columns = {
        "testrun_id": pa.array([7]),
        "event_name": pa.array(["x"]).dictionary_encode(),
        "event_emit": times,
    }
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    assert rows_of(tmp_path / "e.parquet") == [("7", "x", 1_717_588_800_000_000_000, UNKNOWN)]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"run,when\n1,2\n", "has no column event_name, event_emit"),
        ("b.csv", b"", "is empty"),
        ("c.csv", HEADER.encode() + b"\xff\xfe,x,1,2\n", "no readable CSV"),
        ("d.parquet", b"PAR1 and then nothing", "no readable Parquet"),
        ("e.h5", b"\x89HDF\r\n\x1a\n then nothing", "no readable HDF5"),
        ("f.json", b'{"traceEvents": [', "no readable JSON"),
        ("g.json", b'{"traceEvents": 5}', "no list of trace events"),
        ("h.dat", b"who knows", "can't tell the format"),
        ("i.jsonl", b"x" * (17 << 20), "has a line over 8 MiB"),
        ("j.csv.gz", b"\x1f\x8b and then nothing", "no readable CSV"),
        ("k.json", b'{"resourceSpans": []}', "holds no spans"),
        ("l.json", b'{"traceEvents": ' + b"[" * 100_000, "nested too deep"),
        (
            "m.csv",
            b"testrun_id,testrun_id,event_name,event_emit\na,b,x,1\n",
            "two columns called 'testrun_id'",
        ),
    ],
)
def test_files_that_can_not_be_used_are_refused_with_words(
    tmp_path: Path, name: str, content: bytes, match: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_files([tmp_path / name], times=TimeFormat())


def test_a_table_beyond_the_memory_limit_is_refused_while_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "e.csv").open("w") as file:
        file.write(HEADER)
        file.writelines(f"{n},x,1,2\n" for n in range(100_000))
    with pytest.raises(InputError, match="more than the limit of 1 MiB"):
        read_files([tmp_path / "e.csv"], times=TimeFormat(), memory_mib=1)


def test_numbers_in_another_unit_are_told(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(HEADER + "a,x,1717588800000,1717588800000\n")
    with pytest.raises(InputError, match="numbers are seconds unless --unit says ms"):
        analyse([tmp_path / "e.csv"], Question())
    (tmp_path / "f.csv").write_text(HEADER + "a,x,5000000000,5000000000\n")
    (finding,) = analyse([tmp_path / "f.csv"], Question()).findings
    assert (finding.rule, "is --unit right?" in finding.words) == ("future", True)


@pytest.mark.parametrize("order", [1, -1])
def test_times_of_another_unit_beside_the_rest_are_left_out_and_told(tmp_path: Path, order: int) -> None:
    rows = [f"r{n},x,{(1_717_588_800 + n) * (1000 if n % 2 else 1)},\n" for n in range(100)]
    (tmp_path / "e.csv").write_text(HEADER + "".join(rows[::order]))
    assert {row[0] for row in rows_of(tmp_path / "e.csv", unit="ms")} == {f"r{n}" for n in range(1, 100, 2)}
    read = read_files([tmp_path / "e.csv"], times=TimeFormat("ms"))
    told = {finding.rule: finding.words for finding in read.findings}
    assert "50 rows are no events" in told["bad-rows"]
    assert "50 times are dates in ms, 50 in s; these were left out: write all in ms" in told["mixed-units"]
    assert "a file has one unit" in rules_of(tmp_path / "e.csv")["bad-rows"]


def test_times_kept_before_the_first_date_in_the_unit_are_told(tmp_path: Path) -> None:
    rows = [f"r{n},x,{(1_717_588_800 + n) * (1 if n < 40_000 else 1000)},\n" for n in range(50_000)]
    (tmp_path / "e.csv").write_text(HEADER + "".join(rows))
    read = read_files([tmp_path / "e.csv"], times=TimeFormat("ms"))
    told = next(finding.words for finding in read.findings if finding.rule == "mixed-units")
    kept = len(read.table) - 10_000
    assert kept > 0
    assert f"but for {kept:,} before the first date in ms, which count wrongly" in told


def test_times_since_a_start_are_not_taken_for_another_unit(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(HEADER + "".join(f"r,x{n},{n * 10**8},\n" for n in range(100)))
    read = read_files([tmp_path / "e.csv"], times=TimeFormat("us"))
    assert (len(read.table), read.findings) == (100, ())
    (tmp_path / "f.csv").write_text(HEADER + "a,x,1717588800,\n")
    (hint,) = read_files([tmp_path / "f.csv"], times=TimeFormat("ms")).findings
    assert "would be dates after 2000 if they were s: is --unit right?" in hint.words


def test_a_number_that_is_given_twice_is_told_apart_from_a_repeat(tmp_path: Path) -> None:
    rows = "a,x,1,s,1\na,x,1,s,1\na,y,2,s,1\nb,y,2,s,1\n"
    (tmp_path / "e.csv").write_text("testrun_id,event_name,event_emit,source,sequence\n" + rows)
    found = {finding.rule: finding.count for finding in analyse([tmp_path / "e.csv"], Question()).findings}
    assert found == {"duplicates": 2, "reused-numbers": 1}


def test_csv_from_a_spreadsheet(tmp_path: Path) -> None:
    rows = b'a,x,1,"two\r\nlines"\r\na,y,2,"say ""hi"""\r\n'
    (tmp_path / "e.csv").write_bytes(b"\xef\xbb\xbftestrun_id,event_name,event_emit,note\r\n" + rows)
    assert [row[:3] for row in rows_of(tmp_path / "e.csv")] == [("a", "x", 10**9), ("a", "y", 2 * 10**9)]
    table = read_files([tmp_path / "e.csv"], times=TimeFormat()).table
    assert sorted(table.dimensions["note"].values) == ['say "hi"', "two\r\nlines"]
