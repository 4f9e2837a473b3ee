"""Opens files of events: tells the format by suffix and first bytes, and reads several into one table.

Rule: to understand one more format, add its reader to READERS and how it is told to `format_of`.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from trivet.errors import InputError
from trivet.insight.runs.cleaning import Finding
from trivet.insight.runs.event_table import EventTable
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.table_builder import TableBuilder
from trivet.monitor.runs.time_columns import TimeFormat

#: format -> the module and function that reads it (loaded when a file of that format comes up).
READERS = {
    "csv": "table_files:read_csv",
    "parquet": "table_files:read_parquet",
    "jsonl": "table_files:read_jsonl",
    "hdf5": "hdf5_files:read_hdf5",
    "junit": "junit_files:read_junit",
    "otlp": "otlp_files:read_otlp",
    "chrome": "chrome_trace:read_chrome_trace",
    "github": "github_actions:read_github_actions",
    "processes": "process_lives:read_processes",
}
_SUFFIXES = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".xml": "junit",
}
#: What stands in the beginning of a JSON document of a format.
_JSON_KEYS = {b'"resourceSpans"': "otlp", b'"resource_spans"': "otlp", b'"traceEvents"': "chrome"}
_JSON_KEYS |= {b'"ph"': "chrome", b'"jobs"': "github"}
_MAGIC = {b"PAR1": "parquet", b"\x89HDF": "hdf5", b"SQLi": "processes"}
_HEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The `table` of all files, and what was odd while reading."""

    table: EventTable
    findings: tuple[Finding, ...]


def read_files(
    paths: Sequence[Path], *, times: TimeFormat, format_: str = "", memory_mib: int = 0
) -> FilesRead:
    """Read `paths` into one table; `memory_mib` bounds it (half of the free memory when 0)."""
    reading = Reading(TableBuilder(memory_limit_bytes(memory_mib)), times)
    read_into(reading, paths, format_)
    return FilesRead(reading.builder.finish(), tuple(reading.findings()))


def read_into(reading: Reading, paths: Sequence[Path], format_: str) -> None:
    """Read `paths` into the builder of `reading`; `format_` is that of all (each file tells when empty)."""
    for path in paths:
        try:
            _reader(format_ or format_of(path))(path, reading)
        except OSError as error:
            raise InputError(f"can't read {path}: {error.strerror or error}") from None


def format_of(path: Path) -> str:
    """The format of the file `path` by its first bytes, then by its suffix (.gz and the like taken off)."""
    if not path.is_file():
        raise InputError(f"there is no file or store {path}")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(f"{path} is empty")
    if head[:4] in _MAGIC:
        return _MAGIC[head[:4]]
    if head.lstrip()[:1] in (b"{", b"["):
        told = next((format_ for key, format_ in _JSON_KEYS.items() if key in head), "")
        if told:
            return told
    suffixes = [s for s in path.suffixes if s not in (".gz", ".bz2", ".zst")]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    raise InputError(f"can't tell the format of {path}: name it with --format ({', '.join(READERS)})")


def memory_limit_bytes(memory_mib: int) -> int:
    """The bytes that `memory_mib` stands for: half of the free memory when 0."""
    return memory_mib << 20 if memory_mib else int(psutil.virtual_memory().available // 2)


def _reader(format_: str) -> Callable[[Path, Reading], None]:
    if format_ not in READERS:
        raise InputError(f"no format '{format_}': choose of {', '.join(READERS)}")
    module, _, function = READERS[format_].partition(":")
    reader: Callable[[Path, Reading], None] = getattr(
        importlib.import_module(f"trivet.monitor.runs.{module}"), function
    )
    return reader
