"""Claims: one at a time, also when one of those that wait claims just then; nothing stays of an error."""

import asyncio

import pytest

from trivet.upstream.claims import Claims


async def test_one_at_a_time_whoever_claims_while_a_claim_is_handed_on() -> None:
    claims, at_work, most = Claims(), 0, 0

    async def work(turns: int) -> None:
        nonlocal at_work, most
        for _ in range(turns):
            async with claims.of("a"):
                at_work += 1
                most = max(most, at_work)
                await asyncio.sleep(0)
                at_work -= 1

    await asyncio.gather(*(work(20) for _ in range(5)))
    assert most == 1
    assert "a" not in claims


async def test_after_an_error_nothing_is_claimed() -> None:
    claims = Claims()

    async def fail() -> None:
        async with claims.of("a"):
            assert "a" in claims
            raise ValueError("trouble")

    with pytest.raises(ValueError, match="trouble"):
        await fail()
    assert "a" not in claims
    async with asyncio.timeout(1), claims.of("a"):
        pass
