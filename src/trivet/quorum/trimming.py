"""How far the log may be trimmed.

Rule: to F when two banks have applied and synced records through F; records count only of banks whose
digests were compared in this reign, so a bank that skipped entries never lets them go.
Rule: the newest CONFIG, the newest anchor and the last entry stay; a dead bank never holds trimming back.
"""

from collections.abc import Mapping


def trim_floor(applied: Mapping[int, int], bank_count: int, keep_from: int, durable: int) -> int:
    """Return the highest floor allowed.

    `applied` is what the compared banks have applied and synced; slots from `keep_from` on must stay.
    """
    majority = bank_count // 2 + 1
    if len(applied) < majority:
        return 0
    return max(min(sorted(applied.values())[-majority], keep_from - 1, durable), 0)
