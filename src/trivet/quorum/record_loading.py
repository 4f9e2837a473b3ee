"""What the records of a bucket are after a restart: the banks' rows, each at its own slot, and the log.

Rule: a row counts only with a valid MAC; of two, the higher slot wins, alone if need be.
Rule: absence is proved by sums; a bank whose rows do not add up may not say that something is absent.
Rule: bytes are never outvoted: how many banks hold a row decides nothing.
Rule: a row that is damaged wherever it stands is lost, not absent: the sums can prove its key and its slot.
"""

from collections.abc import Mapping
from itertools import combinations

import msgspec

from trivet.quorum.record_history import RecordHistory
from trivet.wire.records import Row, add_terms, digest_term

MAX_DOUBTFUL = 24


class BankRows(msgspec.Struct, frozen=True):
    """One bank's rows of one bucket at slot `applied`: the valid ones, and keys of `damaged` ones.

    `damaged_at` are the slots at which those say they stand, as far as anybody asks.
    """

    applied: int
    rows: dict[bytes, Row]
    damaged: frozenset[bytes] = frozenset()
    damaged_at: dict[bytes, int] = {}


class BucketState(msgspec.Struct, frozen=True):
    """The bucket at the head of the log: key -> (slot, value).

    `proven`: the sums say that nothing is missing, stale or too much. If not, `doubtful` are the keys of
    which some copy is damaged, stale or missing: reading them must fail loudly until a bank proves them,
    and so must a look for any key of the bucket that is not there. `lost` are keys that exist, each at its
    slot, as the sums prove, and whose value no bank has.
    """

    records: dict[bytes, tuple[int, bytes]]
    proven: bool
    doubtful: frozenset[bytes]
    lost: dict[bytes, int] = {}


_State = dict[bytes, tuple[int, bytes]]


def settle_bucket(bucket: int, banks: Mapping[int, BankRows], history: RecordHistory) -> BucketState:
    """Return the state of `bucket` at the head of the log, out of what the `banks` answered."""
    wanted = history.sum_at(bucket, history.head)
    states = {bank: _carried_on(bucket, rows, history) for bank, rows in banks.items()}
    for state in states.values():
        if wanted is not None and _sum(state) == wanted:
            return BucketState(state, proven=True, doubtful=frozenset())
    merged: _State = {}
    for state in states.values():
        for key, record in state.items():
            if key not in merged or record[0] > merged[key][0]:
                merged[key] = record
    doubtful = {key for key in merged if any(state.get(key) != merged[key] for state in states.values())}
    touched = {op.key for _, op in history.ops_above(bucket, history.floor)}
    for rows in banks.values():
        doubtful |= rows.damaged - touched
    if wanted is not None:
        removable = sorted(key for key in doubtful if key in merged)
        gone = _surplus(add_terms(_sum(merged), -wanted), removable, merged)
        if gone is not None:
            left = {key: record for key, record in merged.items() if key not in gone}
            return BucketState(left, proven=True, doubtful=frozenset())
        for rows in banks.values():
            found = _with_lost(wanted, merged, doubtful, rows)
            if found is not None:
                return found
    return BucketState(merged, proven=False, doubtful=frozenset(doubtful))


def _with_lost(wanted: int, merged: _State, doubtful: set[bytes], rows: BankRows) -> BucketState | None:
    """Return the state if the sums fit once rows damaged everywhere count at the slots this bank tells."""
    said = {key: slot for key, slot in rows.damaged_at.items() if key in doubtful and key not in merged}
    if not said:
        return None
    state = merged | {key: (slot, b"") for key, slot in said.items()}
    gone = _surplus(add_terms(_sum(state), -wanted), sorted(doubtful & state.keys()), state)
    if gone is None:
        return None
    left = {key: record for key, record in merged.items() if key not in gone}
    lost = {key: slot for key, slot in said.items() if key not in gone}
    return BucketState(left, proven=True, doubtful=frozenset(), lost=lost)


def _carried_on(bucket: int, rows: BankRows, history: RecordHistory) -> _State:
    """Return the rows with the whole log carried out on them: what it names needs no bank's word."""
    state = {key: (row.slot, row.value) for key, row in rows.rows.items()}
    for slot, op in history.ops_above(bucket, history.floor):
        if op.key in state and state[op.key][0] > slot:
            continue
        if op.value is not None:
            state[op.key] = (slot, op.value)
        else:
            state.pop(op.key, None)
    return state


def _sum(state: _State) -> int:
    return add_terms(sum(digest_term(key, slot) for key, (slot, _) in state.items()), 0)


def _surplus(excess: int, keys: list[bytes], state: _State) -> frozenset[bytes] | None:
    """Return which of `keys` must go so that the sum falls by `excess`; None if no choice fits."""
    if excess == 0:
        return frozenset()
    terms = {key: digest_term(key, state[key][0]) for key in keys[:MAX_DOUBTFUL]}
    if len(keys) > MAX_DOUBTFUL:
        everything = add_terms(sum(digest_term(key, state[key][0]) for key in keys), 0)
        return frozenset(keys) if everything == excess else None
    half = len(terms) // 2
    names = list(terms)
    first = {add_terms(sum(terms[k] for k in chosen), 0): chosen for chosen in _choices(names[:half])}
    for chosen in _choices(names[half:]):
        rest = first.get(add_terms(excess, -sum(terms[key] for key in chosen)))
        if rest is not None:
            return frozenset((*rest, *chosen))
    return None


def _choices(keys: list[bytes]) -> list[tuple[bytes, ...]]:
    return [chosen for size in range(len(keys) + 1) for chosen in combinations(keys, size)]
