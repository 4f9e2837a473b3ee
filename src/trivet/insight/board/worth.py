"""What on the board is worth a look though no file is in danger: alerts, loops, errors, vendors.

Rule: one short line each, the most urgent first, and no more than a few: a long list is no look.
"""

from collections.abc import Iterable

from trivet.wire.board_frames import FloodsTold, TrafficTold, UpstreamTold
from trivet.wire.health_messages import DriveFigures

MOST = 5
#: Answers from 500 on are told when they are this share of the last minute's.
ERROR_SHARE = 0.05
_URL = 60


def worth_a_look(
    traffic: TrafficTold,
    floods: FloodsTold,
    upstreams: Iterable[UpstreamTold],
    figures: DriveFigures | None,
) -> list[str]:
    """Return what is odd in `traffic`, `floods`, `upstreams` and processes (`figures`), a line each."""
    told = list(figures.notes) if figures else []
    for one in upstreams:
        if not one.healthy and one.trouble:
            told.append(f"{one.name}: {one.trouble}")
        if one.held_removals:
            told.append(f"{one.name}: {one.held_removals:,} removals wait until somebody allows them")
    if traffic.hits and traffic.server_errors > ERROR_SHARE * traffic.hits:
        told.append(f"{traffic.server_errors:,} of {traffic.hits:,} answers of the last minute were errors")
    if traffic.alert and traffic.alerts:
        told.append(f"Much more traffic than before: {traffic.alerts[0].text}")
    told += [f"{one.client} asks for {_cut(one.url)} {one.hits:,} times a minute: a loop?"
             for one in floods.pairs if one.loop][:2]  # fmt: skip
    told += [one.why for one in floods.findings]
    return told[:MOST]


def _cut(url: str) -> str:
    return url if len(url) <= _URL else f"{url[:_URL]}…"
