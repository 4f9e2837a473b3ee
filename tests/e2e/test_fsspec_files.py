"""trivet:// by fsspec: files and folders, and tables through pandas, polars and dask, on a real drive."""

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe
import fsspec
import pandas
import polars
import pytest

from drive_under_test import Drive


@pytest.fixture(scope="module")
def files(shared_drive: Drive) -> Iterator[Any]:
    """The file system of a drive."""
    files = fsspec.filesystem("trivet", state=str(shared_drive.state))
    yield files
    files.close()
    fsspec.get_filesystem_class("trivet").clear_instance_cache()
    gc.collect()


def tables(rows: int) -> pandas.DataFrame:
    """Return a table."""
    rng = random.Random(rows)
    return pandas.DataFrame({
        "number": range(rows),
        "share": [rng.random() for _row in range(rows)],
        "name": [f"name {row % 97}" for row in range(rows)],
    })  # fmt: skip


def test_files_and_folders(shared_drive: Drive, files: Any) -> None:
    folder = shared_drive.folder
    data = random.Random(1).randbytes(12_345_678)
    files.makedirs("some/where/deep", exist_ok=True)
    files.makedirs("some/where/deep", exist_ok=True)
    with pytest.raises(FileExistsError):
        files.makedirs("some/where/deep", exist_ok=False)
    files.pipe_file("trivet://some/where/a", data)
    assert (folder / "some/where/a").read_bytes() == data
    assert files.cat_file("some/where/a") == data
    assert files.cat_file("some/where/a", -100, None) == data[-100:]
    assert files.cat_file("some/where/a", 5_000_000, 5_000_010) == data[5_000_000:5_000_010]
    with files.open("some/where/a", "rb") as file:
        file.seek(1000)
        assert file.read(70_000) == data[1000:71_000]
    assert files.info("some/where/a")["size"] == len(data)
    assert files.ls("some/where", detail=False) == ["some/where/a", "some/where/deep"]
    files.cp_file("some/where/a", "some/copy")
    files.mv("some/where/a", "some/where/b")
    assert not files.exists("some/where/a")
    assert sorted(files.find("some")) == ["some/copy", "some/where/b"]
    assert files.glob("some/*/b") == ["some/where/b"]
    with pytest.raises(FileNotFoundError):
        files.cat_file("nowhere/at/all")
    with pytest.raises(IsADirectoryError):
        files.cat_file("some")
    with pytest.raises(OSError, match="some"):
        files.rmdir("some")
    files.rm("some", recursive=True)
    assert not (folder / "some").exists()


def test_writing_shows_whole_versions_only(shared_drive: Drive, files: Any) -> None:
    path = shared_drive.folder / "versions"
    with files.open("versions", "wb", block_size=1 << 20) as file:
        file.write(b"1" * 3_000_000)
        assert not path.exists()
    assert path.read_bytes() == b"1" * 3_000_000
    ino = files.info("versions")["ino"]
    with files.open("versions", "rb") as reading, files.open("versions", "wb", block_size=1 << 20) as file:
        file.write(b"2" * 2_000_000)
        file.close()
        assert reading.read() == b"1" * 3_000_000
    assert path.read_bytes() == b"2" * 2_000_000
    assert files.info("versions")["ino"] == ino
    with files.open("versions", "ab") as file:
        file.write(b"3")
    assert path.read_bytes() == b"2" * 2_000_000 + b"3"
    with pytest.raises(FileExistsError):
        files.open("versions", "xb")
    with files.transaction:
        files.pipe_file("other", b"x")
        with files.open("versions", "wb") as file:
            file.write(b"in a transaction")
        assert path.read_bytes().endswith(b"3")
    assert path.read_bytes() == b"in a transaction"
    assert files.ls("", detail=False) == sorted(os.listdir(shared_drive.folder))


def test_links_stay_in_the_drive(shared_drive: Drive, files: Any) -> None:
    folder = shared_drive.folder
    (folder / "linked").mkdir()
    (folder / "linked/file").write_bytes(b"there")
    for target in ("linked/file", "/linked/file", "../../linked/file"):
        link = folder / "link"
        link.symlink_to(target)
        assert files.cat_file("link") == b"there"
        files.pipe_file("link", b"there")
        assert link.is_symlink()
        files.rm_file("link")
        assert not link.is_symlink()
    (folder / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        files.cat_file("loop")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_by_pandas_polars_and_dask(shared_drive: Drive, files: Any, kind: str, tmp_path: Path) -> None:
    options = {"state": str(shared_drive.state)}
    table = tables(20_000)
    folder = shared_drive.folder

    def url(name: str) -> str:
        return f"trivet://{name}.{kind}"

    if kind == "csv":
        table.to_csv(url("pandas"), index=False, storage_options=options)
        back = pandas.read_csv(url("pandas"), storage_options=options)
        with files.open(url("polars"), "wb") as file:
            polars.from_pandas(table).write_csv(file)
        with files.open(url("polars"), "rb") as file:
            by_polars = polars.read_csv(file)
        local = pandas.read_csv(folder / "polars.csv")
    else:
        table.to_parquet(url("pandas"), storage_options=options)
        back = pandas.read_parquet(url("pandas"), storage_options=options)
        with files.open(url("polars"), "wb") as file:
            polars.from_pandas(table).write_parquet(file)
        with files.open(url("polars"), "rb") as file:
            by_polars = polars.read_parquet(file)
        local = pandas.read_parquet(folder / "polars.parquet")
    pandas.testing.assert_frame_equal(back, table, check_dtype=False)
    pandas.testing.assert_frame_equal(by_polars.to_pandas(), table, check_dtype=False)
    pandas.testing.assert_frame_equal(local, table, check_dtype=False)
    parts = dask.dataframe.from_pandas(table, npartitions=4)
    with dask.config.set(scheduler="threads"):
        if kind == "csv":
            parts.to_csv(url("dask/*"), index=False, storage_options=options)
            again = dask.dataframe.read_csv(url("dask/*"), storage_options=options).compute()
        else:
            parts.to_parquet("trivet://dask", storage_options=options)
            again = dask.dataframe.read_parquet("trivet://dask", storage_options=options).compute()
    pandas.testing.assert_frame_equal(again.reset_index(drop=True), table, check_dtype=False)
    assert len(list((folder / "dask").glob(f"*.{kind}"))) == 4
    files.rm("dask", recursive=True)
