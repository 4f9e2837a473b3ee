"""A bank's blobs on a real S3 server beside the same bank on the local disk, and boto3 on the same server.

Rule: written counts once all of it is in the store; read counts from the store alone, nothing is cached here.
Rule: what is read is checked against its hashes, as a keeper does; boto3's is only counted.
Rule: contestants take turns; figures are medians, and only their ratios count.
Usage: python bench/engine_blobs.py [--mib 512] [--rounds 2]; needs `bash scripts/setup.sh --for-engines`, and
boto3 for its lines.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bank_server import first_link
from trivet.bank.object_blobs import ObjectBlobs
from trivet.io.link import Link
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.bank_messages import BlobData, GetBlob, PutBlob, SyncBlobs
from trivet.wire.blobs import sub_hashes, wrong_pieces
from trivet.wire.journal_messages import Done

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from free_ports import free_bases  # noqa: E402
from real_s3 import RealS3, running_s3  # noqa: E402

RUN = "import sys; from pathlib import Path; from trivet.bank.server import run_bank; "
RUN += "run_bank(int(sys.argv[1]), Path(sys.argv[2]), xmlrpc=False, blobs=sys.argv[3] or None)"
MIB = 1 << 20
TIMEOUT_S = 120.0
AT_ONCE = 8
OBJECT_BYTES = ObjectBlobs.segment_bytes
BLOBS = [os.urandom(MIB) for _ in range(16)]
HASHES = [sub_hashes(blob) for blob in BLOBS]


class Bank:
    """A server of its own in `folder`, with its blobs at `url` (empty: on the local disk)."""

    def __init__(self, folder: Path, url: str) -> None:
        self.base = free_bases(1)[0]
        self._url = url
        self._folder = VolumeFolder(folder)
        self._folder.create(VolumeConfig("00" * 8, [self.base, self.base + 1, self.base + 2], 1))
        self.own = self._folder.server_path(self.base, self.base)
        self._link: Link
        self._child: subprocess.Popen[bytes]
        self.refused = 0

    async def start(self) -> None:
        """Start it and connect."""
        words = [sys.executable, "-c", RUN, str(self.base), str(self._folder.path), self._url]
        self._child = subprocess.Popen(words)  # noqa: ASYNC220 - nothing else runs yet
        key = self._folder.read_key()
        address = ("127.0.0.1", self.base)
        self._link = await first_link(lambda: Link.connect(address, key, timeout_s=TIMEOUT_S))

    def stop(self) -> None:
        """Stop it."""
        self._child.terminate()
        self._child.wait(60)

    async def write(self, mib: int) -> tuple[float, float]:
        """Write blobs of 1 MiB; return the seconds until all were synced, and until they were all away."""
        began = time.perf_counter()
        await _all(mib, self._put)
        await self._link.request(SyncBlobs(), timeout_s=TIMEOUT_S)
        synced = time.perf_counter() - began
        while self._url and self._bytes_here() > mib << 14:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.02)
        return synced, time.perf_counter() - began

    def _bytes_here(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in self.own.rglob("*.segment"))

    async def _put(self, number: int) -> None:
        message = PutBlob(number + 1, HASHES[number % 16], False)
        reply, _ = await self._link.request(message, BLOBS[number % 16], timeout_s=TIMEOUT_S)
        assert isinstance(reply, Done), reply

    async def read(self, mib: int) -> float:
        """Read them all, in order; return the seconds."""
        began = time.perf_counter()
        await _all(mib, self._get)
        return time.perf_counter() - began

    async def _get(self, number: int) -> None:
        while True:
            reply, body = await self._link.request(GetBlob(number + 1, 0, MIB), timeout_s=TIMEOUT_S)
            if isinstance(reply, BlobData):
                assert reply.hashes == HASHES[number % 16]
                assert not list(wrong_pieces(reply.hashes, 0, body)), "wrong bytes"
                return
            self.refused += 1
            await asyncio.sleep(0.1)


async def _all(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Do `work` for 0..count-1, AT_ONCE of them at once."""
    todo = iter(range(count))

    async def go_on() -> None:
        for number in todo:
            await work(number)

    await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))


def boto(s3: RealS3, mib: int, name: str) -> tuple[float, float] | None:
    """Return the seconds boto3 takes to write and to read objects of a segment's size, two at once."""
    try:
        import boto3
    except ImportError:
        return None
    from concurrent.futures import ThreadPoolExecutor

    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=s3.environment["AWS_REGION"],
    )
    body = b"".join(BLOBS) * (OBJECT_BYTES // (16 * MIB))
    keys = [f"{name}/{number}" for number in range(mib * MIB // OBJECT_BYTES)]
    with ThreadPoolExecutor(2) as pool:
        began = time.perf_counter()
        list(pool.map(lambda key: client.put_object(Bucket="drives", Key=key, Body=body), keys))
        wrote = time.perf_counter()
        read = pool.map(lambda key: len(client.get_object(Bucket="drives", Key=key)["Body"].read()), keys)
        assert sum(read) == mib * MIB
        return wrote - began, time.perf_counter() - wrote


async def compare(s3: RealS3, folder: Path, mib: int, rounds: int) -> None:
    """Print what each contestant does."""
    os.environ.update(s3.environment)
    rates: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        rates.setdefault(what, []).append(mib / seconds)

    for turn in range(rounds):
        for where in ("local disk", "S3"):
            url = ""
            if where == "S3":
                url = f"s3://drives/bank-{turn}?endpoint={s3.endpoint}&pack_s=0&cache_bytes=0"
            bank = Bank(folder / f"{where[:2]}-{turn}", url)
            await bank.start()
            try:
                synced, away = await bank.write(mib)
                note(f"bank on {where}: written and synced", synced)
                if url:
                    note("bank on S3: written, all in the store", away)
                note(f"bank on {where}: read", await bank.read(mib))
            finally:
                bank.stop()
            if bank.refused:
                print(f"  {bank.refused} reads were refused as too slow and asked again")
        took = await asyncio.to_thread(boto, s3, mib, f"boto-{turn}")
        if took:
            note("boto3: written", took[0])
            note("boto3: read", took[1])
    for what, found in rates.items():
        print(f"{what:40} {statistics.median(found):8.1f} MiB/s   {[round(one, 1) for one in found]}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="engine-blobs-") as place,
        running_s3(Path(place) / "swift", workers=2) as s3,
    ):
        s3.make_bucket("drives")
        asyncio.run(compare(s3, Path(place), asked.mib, asked.rounds))


if __name__ == "__main__":
    main()
