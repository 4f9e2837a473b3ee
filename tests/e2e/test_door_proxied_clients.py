"""Clients of Google Drive that can't be told another address: through an HTTPS proxy, unchanged."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect_proxy import connect_proxy
from door_under_test import Door
from free_ports import free_port

HOST = "www.googleapis.com"
READ_AND_WRITE = """
import json, os, sys
from gdrive_fsspec import GoogleDriveFileSystem

files = GoogleDriveFileSystem(token="anon")
big = os.urandom(13_000_001)
files.mkdir("by-fsspec")
files.mkdir("by-fsspec/deep")
bodies = {"small": b"abc", "empty": b"", "big": big, "deep/even": big[: 10 << 20]}
for name, body in bodies.items():
    with files.open(f"by-fsspec/{name}", "wb") as file:
        file.write(body)
fresh = GoogleDriveFileSystem(token="anon", skip_instance_cache=True)
for name, body in bodies.items():
    assert fresh.info(f"by-fsspec/{name}")["size"] == len(body), name
    with fresh.open(f"by-fsspec/{name}", "rb") as file:
        assert file.read() == body, name
with fresh.open("by-fsspec/big", "rb") as file:
    file.seek(7_000_000)
    assert file.read(1000) == big[7_000_000:7_001_000]
told = {"ls": fresh.ls("by-fsspec"), "find": sorted(fresh.find("by-fsspec"))}
told["small"] = fresh.cat("by-fsspec/small").decode()
fresh.rm("by-fsspec/small")
fresh.rm("by-fsspec/deep", recursive=True)
last = GoogleDriveFileSystem(token="anon", skip_instance_cache=True)
told["left"] = last.ls("by-fsspec")
try:
    last.info("by-fsspec/small")
except FileNotFoundError:
    told["gone"] = True
json.dump(told, sys.stdout)
"""


@pytest.fixture(scope="module")
def proxied(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A worker with TLS under Google's name, and the environment that leads clients to it."""
    place = tmp_path_factory.mktemp("tls")
    cert, key = place / "cert.pem", place / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
         "-out", cert, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    words = ["serve", "gateway", "--no-auth", "--port", str(port), "--state", str(door.drive.state)]
    tls = ["--tls-cert", str(cert), "--tls-key", str(key)]
    with (
        subprocess.Popen([sys.executable, "-m", "trivet", *words, *tls]) as worker,
        connect_proxy(port) as proxy,
    ):
        try:
            told = Door(door.drive, port)
            told.address = f"https://127.0.0.1:{port}"
            told.http = type(told.http)(base_url=told.address, verify=False)
            told.wait_up()
            told.http.close()
            address = f"http://127.0.0.1:{proxy}"
            yield {
                **os.environ, "https_proxy": address, "HTTPS_PROXY": address, "SSL_CERT_FILE": str(cert),
                "HTTPLIB2_CA_CERTS": str(cert), "no_proxy": "", "NO_PROXY": "",
            }  # fmt: skip
        finally:
            worker.terminate()
            assert worker.wait(20) == 0


def test_gdrive_fsspec_reads_and_writes(proxied: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_WRITE],
        env=proxied,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ls"] == [f"by-fsspec/{name}" for name in ("big", "deep", "empty", "small")]
    assert told["find"] == [f"by-fsspec/{name}" for name in ("big", "deep/even", "empty", "small")]
    assert told["small"] == "abc"
    assert told["left"] == ["by-fsspec/big", "by-fsspec/empty"]
    assert told["gone"] is True


@pytest.mark.skipif(shutil.which("rclone") is None, reason="the Debian package rclone is not installed")
def test_rclone_copies_checks_moves_and_removes(proxied: dict[str, str], tmp_path: Path) -> None:
    token = {"access_token": "any", "token_type": "Bearer", "expiry": "2099-01-01T00:00:00Z"}
    env = proxied | {"RCLONE_CONFIG_D_TYPE": "drive", "RCLONE_CONFIG_D_TOKEN": json.dumps(token)}
    env |= {"RCLONE_CONFIG": str(tmp_path / "none.conf"), "RCLONE_RETRIES": "1"}

    def rclone(*words: str) -> str:
        done = subprocess.run(
            ["rclone", *words], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "empty").touch()
    (source / "it's a \\ name ü").write_bytes(b"quoted")
    (source / "deep" / "big").write_bytes(os.urandom(9_000_001))
    rclone("copy", str(source), "D:by-rclone", "--drive-chunk-size", "1M", "--drive-upload-cutoff", "1M")
    rclone("check", str(source), "D:by-rclone")
    rclone("check", "--download", str(source), "D:by-rclone")
    (source / "deep" / "big").write_bytes(b"shorter")
    rclone("sync", str(source), "D:by-rclone")
    rclone("check", str(source), "D:by-rclone")
    rclone("moveto", "D:by-rclone/deep/big", "D:by-rclone/moved")
    rclone("copyto", "D:by-rclone/moved", "D:by-rclone/copied")
    listed = {
        one["Path"]: one["Size"] for one in json.loads(rclone("lsjson", "-R", "--files-only", "D:by-rclone"))
    }
    assert listed == {"empty": 0, "it's a \\ name ü": 6, "moved": 7, "copied": 7}
    assert rclone("cat", "--offset", "2", "--count", "3", "D:by-rclone/moved") == "ort"
    rclone("purge", "D:by-rclone")
    assert "by-rclone/" not in rclone("lsf", "D:")
    assert json.loads(rclone("about", "D:", "--json"))["total"] > 0
