"""Locks that all workers agree on: two stores on one file, fencing tokens, expiry."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.errors import InputError, Locked, NotFound, PreconditionFailed
from trivet.gateway.lock_store import LockStore
from trivet.gateway.people_file import PeopleFile


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def workers(tmp_path: Path, now: list[float]) -> Iterator[tuple[LockStore, LockStore]]:
    files = [PeopleFile(tmp_path / "people.sqlite") for _ in range(2)]
    yield LockStore(files[0], lambda: now[0]), LockStore(files[1], lambda: now[0])
    for file in files:
        file.close()


async def test_exclusive_keeps_others_out_in_every_worker(workers: tuple[LockStore, LockStore]) -> None:
    one, other = workers
    lock = await one.acquire(7, "ann", "exclusive", 60)
    for mode in ("shared", "exclusive"):
        with pytest.raises(Locked) as refused:
            await other.acquire(7, "bob", mode, 60)
        assert (refused.value.holder, refused.value.expires_at_s) == ("ann", 1060.0)
    with pytest.raises(Locked):
        other.check_write(7, "bob")
    other.check_write(7, "ann", lock.token)
    other.check_write(8, "bob")
    await other.release(7, "ann", lock.token)
    other.check_write(7, "bob")
    with pytest.raises(NotFound):
        await one.release(7, "ann", lock.token)


async def test_shared_locks_live_together_and_keep_writers_out(workers: tuple[LockStore, LockStore]) -> None:
    one, other = workers
    await one.acquire(7, "ann", "shared", 60)
    await other.acquire(7, "bob", "shared", 60)
    with pytest.raises(Locked):
        await one.acquire(7, "ann", "exclusive", 60)
    with pytest.raises(Locked):
        one.check_write(7, "ann")
    assert [lock.owner for lock in one.held(7)] == ["ann", "bob"]


async def test_a_stale_token_is_refused_even_when_the_file_is_free(
    workers: tuple[LockStore, LockStore], now: list[float]
) -> None:
    one, other = workers
    first = await one.acquire(7, "ann", "exclusive", 60)
    now[0] += 61
    other.check_write(7, "bob")
    with pytest.raises(PreconditionFailed):
        one.check_write(7, "ann", first.token)
    second = await other.acquire(7, "ann", "exclusive", 60)
    assert second.token > first.token
    with pytest.raises(PreconditionFailed):
        one.check_write(7, "ann", first.token)


async def test_renewing_keeps_the_token(workers: tuple[LockStore, LockStore], now: list[float]) -> None:
    one, _ = workers
    first = await one.acquire(7, "ann", "shared", 60)
    now[0] += 50
    again = await one.acquire(7, "ann", "exclusive", 60)
    assert (again.token, again.expires_at_s, again.mode) == (first.token, 1110.0, "exclusive")
    assert one.count() == 1


async def test_of_many_at_once_one_gets_it(workers: tuple[LockStore, LockStore]) -> None:
    tries = [workers[n % 2].acquire(7, f"user{n}", "exclusive", 60) for n in range(40)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in outcomes) == 1
    assert sum(isinstance(one, Locked) for one in outcomes) == 39


@pytest.mark.parametrize("ttl_s", [0, -1, 3601, float("inf"), float("nan")])
async def test_odd_times_are_refused(workers: tuple[LockStore, LockStore], ttl_s: float) -> None:
    with pytest.raises(InputError):
        await workers[0].acquire(7, "ann", "shared", ttl_s)
