"""`trivet check` on folders of real files, with the real ImageMagick for what nobody else reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import made_files

_SIZE = ("-size", "301x199", "plasma:")


def _check(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trivet", "check", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def _photoshop(path: Path) -> bytes:
    subprocess.run(["/usr/bin/convert", *_SIZE, str(path)], check=True, timeout=60)
    return path.read_bytes()


def test_a_folder_of_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for kind in made_files.KINDS:
        (tmp_path / f"whole.{kind}").write_bytes(made_files.whole(kind))
        (tmp_path / "b" / f"cut.{kind}").write_bytes(made_files.whole(kind)[:-2000])
    (tmp_path / "b" / "lie.pdf").write_bytes(made_files.whole("png"))
    (tmp_path / "odd name\n.dat").write_bytes(b"x")
    (tmp_path / "link").symlink_to("/dev/zero")
    done = _check(tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert not done.stderr
    assert lines[-1] == f"{len(made_files.KINDS) * 2 + 2} files: 10 OK, 11 ERROR, 1 SKIP"
    assert f"OK    {tmp_path}/whole.png" in lines
    assert f"ERROR {tmp_path}/b/lie.pdf: is declared as .pdf, but its content is PNG" in lines
    assert f"SKIP  {tmp_path}/odd name\\n.dat: nothing here reads .dat" in lines
    assert {line.split("/")[-1].split(":")[0] for line in lines if line.startswith("ERROR")} == {
        "lie.pdf",
        *(f"cut.{kind}" for kind in made_files.KINDS),
    }


def test_only_files_with_an_extension_whole_and_cut_under_imagemagick(tmp_path: Path) -> None:
    content = _photoshop(tmp_path / "whole.psb")
    for share in (0.01, 0.3, 0.5, 0.66, 0.99):
        (tmp_path / f"cut{share}.psb").write_bytes(content[: int(len(content) * share)])
    (tmp_path / "other.png").write_bytes(b"not looked at")
    done = _check(tmp_path, "--ext", ".psb", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], len(told["errors"]), told["skipped"]) == (1, 1, 5, [])
    (tmp_path / "whole[0].psb").write_bytes(content)
    (tmp_path / "%d.psb").write_bytes(content)
    for name in ("whole.psb", "whole[0].psb", "%d.psb"):
        assert _check(tmp_path / name).returncode == 0


def test_an_error_is_an_error_also_when_imagemagick_ends_well(tmp_path: Path) -> None:
    image = tmp_path / "a.sgi"
    subprocess.run(["/usr/bin/convert", *_SIZE, str(image)], check=True, timeout=60)
    assert _check(image).returncode == 0
    image.write_bytes(image.read_bytes()[:-20_000])
    done = _check(image)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, f"ERROR {image}")


@pytest.mark.parametrize("words", [(), ("/nowhere/at/all",)])
def test_wrong_use_is_2(words: tuple[str, ...]) -> None:
    assert _check(*words).returncode == 2


def test_an_empty_folder_is_well(tmp_path: Path) -> None:
    done = _check(tmp_path, "--ext", "psb")
    assert (done.returncode, done.stdout) == (0, "no files ending in .psb there\n")
