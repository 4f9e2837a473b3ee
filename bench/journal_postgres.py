"""How many group commits a second a journal in PostgreSQL takes, beside plain inserts of one row each.

Usage: python bench/journal_postgres.py [--rounds 3] [--seconds 3] [--bytes 1000]
A server of its own is started in a new folder. Both write rows of the same size through one connection of the
same settings, one after the other and in turn; a group commit moves the fence's row and inserts the entries.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from psycopg import Connection

from trivet.bank.fence import Fence
from trivet.io.journal_database import Claim, StoredVolume, find_or_make
from trivet.io.postgres import Database, DatabasePlan, database_plan
from trivet.wire.auth import KEY_BYTES

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from real_postgres import RealPostgres, running_postgres

GROUPS = (1, 16)


def main() -> int:
    """Measure and print medians of the rounds; 1 if fewer than 500 group commits a second were done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--bytes", type=int, default=1000)
    asked = parser.parse_args()
    with running_postgres() as server:
        plan = database_plan(server.url)
        find_or_make(plan, "file:///unused", StoredVolume("bench", os.urandom(KEY_BYTES), "file:///unused"))
        database = Database(plan)
        rates: dict[str, list[float]] = {}
        for _ in range(asked.rounds):
            for name, rate in one_round(server, database, plan, asked.seconds, asked.bytes):
                rates.setdefault(name, []).append(rate)
        database.close()
    found = {name: statistics.median(of) for name, of in rates.items()}
    plain = found.pop("plain inserts of one row")
    print(f"plain inserts of one row: {plain:.0f}/s")
    for name, rate in found.items():
        print(f"{name}: {rate:.0f}/s, {rate / plain:.2f} of the plain inserts")
    return 0 if min(found.values()) >= 500 else 1


def one_round(
    server: RealPostgres, database: Database, plan: DatabasePlan, seconds: float, size: int
) -> list[tuple[str, float]]:
    """Return (what, commits a second) of each contestant, in turn."""
    with server.asked() as connection:
        connection.execute(f"TRUNCATE {plan.schema}.journal")
        connection.execute(f"UPDATE {plan.schema}.fence SET holder = 'bench', reign = 1, head = 0")
        connection.execute("CREATE TABLE IF NOT EXISTS plain (slot bigint PRIMARY KEY, entry bytea NOT NULL)")
        connection.execute("TRUNCATE plain")
    results = [("plain inserts of one row", plain_inserts(database, seconds, size))]
    fence = Fence(database, Claim("bench", 1), b"")
    fence.begin()
    head = 0
    for group in GROUPS:
        raws, done, until = [os.urandom(size)] * group, 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            fence.commit(head, raws)
            head += group
            done += 1
        results.append((f"group commits of {group}", done / seconds))
    return results


def plain_inserts(database: Database, seconds: float, size: int) -> float:
    """Return how many rows a second one connection inserts, each in a transaction of its own."""
    done, row, until = 0, os.urandom(size), time.perf_counter() + seconds

    def insert(connection: "Connection[tuple[object, ...]]") -> None:
        with connection.cursor(binary=True) as cursor:
            cursor.execute("INSERT INTO plain VALUES (%s, %s)", (done, row), prepare=True)

    while time.perf_counter() < until:
        database.run(insert)
        done += 1
    return done / seconds


if __name__ == "__main__":
    sys.exit(main())
