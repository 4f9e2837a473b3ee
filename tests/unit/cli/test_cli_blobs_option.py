"""`--blobs BASE=URL`: what it takes, and how it refuses the rest before anything is made."""

from pathlib import Path

import pytest

from trivet.cli.blobs_option import checked_blobs
from trivet.errors import ConfigError, InputError
from trivet.io.object_store import plan_of
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.volume_setup import open_volume, place_blobs


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/path", "write s3://BUCKET/PREFIX"),
        ("s3:///prefix", "write s3://BUCKET/PREFIX"),
        ("s3://me:hidden@bucket/prefix", "write s3://BUCKET/PREFIX"),
        ("file://relative/path", "whole path"),
        ("s3://bucket/prefix?aws_secret_access_key=hidden", "environment"),
        ("az://box/prefix?sas_key=hidden", "environment"),
        ("s3://bucket/prefix?pack_s=soon", "whole number"),
        ("s3://bucket/prefix?nonsense=1", "nonsense"),
    ],
)
def test_a_url_that_is_none_is_refused_without_telling_secrets(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refusal:
        checked_blobs([f"9000={url}"])
    assert "hidden" not in str(refusal.value)


def test_a_bank_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="base port first"):
        checked_blobs([f"file://{tmp_path}"])


def test_a_store_that_can_not_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match="can't be used"):
        checked_blobs([f"9000=file://{tmp_path}/file"])


def test_options_of_ours_are_told_from_those_of_the_store() -> None:
    plan = plan_of("s3://bucket/a/b?endpoint=http://127.0.0.1:1&cache_bytes=5&pack_s=0")
    assert (plan.url, plan.prefix) == ("s3://bucket", "a/b")
    assert (plan.cache_bytes, plan.pack_s) == (5, 0)
    assert plan.options == {"endpoint": "http://127.0.0.1:1"}


def test_a_volume_remembers_where_its_blobs_are(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "state")
    config = open_volume(folder, None, None, None)
    with pytest.raises(ConfigError, match="banks of this drive are"):
        place_blobs(folder, config, {1234: "file:///x"})
    place_blobs(folder, config, checked_blobs([f"9000=file://{tmp_path}/objects"]))
    assert open_volume(folder, None, None, None).blobs == {"9000": f"file://{tmp_path}/objects"}
