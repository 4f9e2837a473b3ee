"""Files of events larger than the memory they may take: imported, merged and read back whole."""

import subprocess
import sys
from pathlib import Path

CAP_MIB = 240
RUNS, BLOCK = 180_000, 20_000
EVENTS = ("request", "queue_start", "queue_end", "flash_start", "flash_end")
EVENTS += ("boot_start", "boot_end", "test_start", "test_end", "publish")


def write_table(path: Path) -> int:
    """Write 300 MB of events in order of time; returns how many bytes."""
    tail = "a-configuration-with-a-long-name-" + "x" * 90
    with path.open("w") as file:
        file.write("testrun_id,event_name,event_emit,event_receive,configuration\n")
        for first in range(0, RUNS, BLOCK):
            file.write(
                "".join(
                    f"build-{run:08d},{event},{run * 10 + at}.25,{run * 10 + at}.5,{tail}{run % 9}\n"
                    for run in range(first, first + BLOCK)
                    for at, event in enumerate(EVENTS)
                )
            )
    return path.stat().st_size


#: A process counts what its parent held at the fork: so a small one stands between.
BETWEEN = """
import os, subprocess, sys
with subprocess.Popen(sys.argv[1:]) as process:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss >> 10, file=sys.stderr)
sys.exit(process.returncode)
"""


def peak_mib(*arguments: object) -> tuple[int, str]:
    """Run `trivet runs ARGUMENTS`; returns its peak memory and what it said."""
    command = [sys.executable, "-c", BETWEEN, sys.executable, "-m", "trivet", "runs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.splitlines()[-1]), done.stdout


def test_a_file_above_the_memory_limit_is_imported_and_merged_within_it(tmp_path: Path) -> None:
    table, store = tmp_path / "events.csv", tmp_path / "store"
    assert write_table(table) > 300_000_000
    memory, told = peak_mib("import", table, "--store", store, "--memory-mib", CAP_MIB)
    assert told == f"{RUNS * len(EVENTS):,} events kept\n"
    assert memory <= CAP_MIB, memory
    memory, told = peak_mib("compact", store)
    assert "events in 1\n" in told
    assert memory <= 300
    again, told = peak_mib("import", table, "--store", store, "--memory-mib", CAP_MIB)
    assert told.startswith("0 events kept")
    assert again <= 1.25 * CAP_MIB, again
    table.unlink()


def test_too_little_memory_is_refused_with_how_much_it_takes(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("testrun_id,event_name,event_emit\na,x,1\n")
    command = [
        sys.executable,
        "-m",
        "trivet",
        "runs",
        "import",
        tmp_path / "e.csv",
        "--store",
        tmp_path / "s",
    ]
    done = subprocess.run([*command, "--memory-mib", "50"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "importing takes 230 MiB at least: give --memory-mib so much or more" in done.stderr
