"""The probing loop: every URL at its own beat, each sample stored and told.

Rule: one probe of a URL at a time; a beat that comes while one is still under way is left out.
Rule: all writing goes through one thread, so the event loop never waits for the disk.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError
from trivet.insight.uptime import ProbeSample
from trivet.io.http_probe import Target, probe
from trivet.io.uptime_store import UptimeStore


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What to probe from where, how often, and how long to wait; `count` rounds, or without end."""

    targets: Sequence[Target]
    place: str
    every_s: float
    timeout_s: float
    keep_raw_s: float
    count: int | None = None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the rules for HTTPS: the machine's authorities, and those in `ca_file` when given."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"--ca-file {ca_file} holds no certificates: {error}") from None
    return context


async def keep_probing(
    plan: ProbePlan, store: UptimeStore, tls: ssl.SSLContext, tell: Callable[[Target, ProbeSample], None]
) -> None:
    """Probe until `plan.count` rounds are done or the task is cancelled; `tell` gets every sample."""
    with ThreadPoolExecutor(1, "uptime-store") as writer:
        async with asyncio.TaskGroup() as group:
            for target in plan.targets:
                group.create_task(_probe_one(plan, target, store, tls, tell, writer))


async def _probe_one(
    plan: ProbePlan,
    target: Target,
    store: UptimeStore,
    tls: ssl.SSLContext,
    tell: Callable[[Target, ProbeSample], None],
    writer: ThreadPoolExecutor,
) -> None:
    loop = asyncio.get_running_loop()
    first = loop.time()
    done = 0
    while plan.count is None or done < plan.count:
        sample = await probe(target, timeout_s=plan.timeout_s, tls=tls, now=time.time())
        await loop.run_in_executor(
            writer,
            lambda sample=sample: store.add(  # type: ignore[misc]
                plan.place, target.url, sample, every_s=plan.every_s, keep_raw_s=plan.keep_raw_s
            ),
        )
        tell(target, sample)
        done += 1
        if done != plan.count:
            beat = int((loop.time() - first) // plan.every_s) + 1
            await asyncio.sleep(first + beat * plan.every_s - loop.time())
