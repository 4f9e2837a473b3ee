"""Nobody works on what somebody else has claimed, and nothing stays claimed."""

import asyncio

import pytest

from trivet.io.claims import Claims


async def test_those_who_wait_and_those_who_come_as_it_is_given_up_take_turns() -> None:
    claims: Claims[str] = Claims()
    inside, most, newcomers = 0, 0, list[asyncio.Task[None]]()

    async def work(*, invites: bool) -> None:
        nonlocal inside, most
        async with claims.of("file"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
        if invites:  # the next in the row has been woken, and does not run yet
            newcomers.append(asyncio.create_task(work(invites=False)))

    await asyncio.gather(*[work(invites=True) for _ in range(3)])
    await asyncio.gather(*newcomers)
    assert len(newcomers) == 3
    assert most == 1
    assert "file" not in claims


async def test_other_keys_do_not_wait() -> None:
    claims: Claims[int] = Claims()
    async with claims.of(1), asyncio.timeout(5), claims.of(2):
        assert 1 in claims
        assert 2 in claims
        assert 3 not in claims


async def test_work_that_fails_or_is_cancelled_gives_its_claim_up() -> None:
    claims: Claims[str] = Claims()
    with pytest.raises(ValueError, match="broken"):
        async with claims.of("file"):
            raise ValueError("broken")
    assert "file" not in claims
    async with claims.of("file"):
        waiting = asyncio.create_task(claims.of("file").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert "file" in claims
    assert "file" not in claims
