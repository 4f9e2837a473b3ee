"""The one sentence on top of the board: whether all is well, or what is wrong and what is being done.

Rule: "All is well" is said only of a drive that calls itself healthy; every other word names what is not.
Rule: a person who has never seen trivet understands it: banks, copies, servers by their port, no jargon.
"""

from collections.abc import Sequence

from trivet.wire.board_frames import BankState, BankTold, Verdict
from trivet.wire.control_messages import NOT_MOUNTED, BankStatus, Children, ServerStatus, Status

_ANSWERING = {"up", "joining", "full"}
_UNSERVED = "NoMajority"
_WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}


def bank_told(bank: BankStatus, stopped: frozenset[int] = frozenset()) -> BankTold:
    """Return `bank` with its state in one word; servers on the ports `stopped` are down on purpose."""
    servers = [
        ServerStatus(one.port, "stopped", one.pid, one.blobs, one.records, one.divergent)
        if one.port in stopped and one.state == "down"
        else one
        for one in bank.servers
    ]
    answering = sum(one.state in _ANSWERING for one in servers)
    state: BankState = "away" if not answering else "whole" if answering == len(servers) else "partly"
    return BankTold(bank.base, state, servers)


def stopped_ports(children: Children | None) -> frozenset[int]:
    """Return the ports of the servers that somebody stopped on purpose."""
    told = children.children if children else []
    return frozenset(child.port for child in told if child.state == "stopped" and child.port is not None)


def judge(status: Status | None, problem: str = "", children: Children | None = None) -> Verdict:
    """Return how the drive is; `problem` is why there is no `status`, `children` what looks after it."""
    if status is None:
        return _silent(problem, children)
    banks = [bank_told(bank, stopped_ports(children)) for bank in status.banks]
    unserved = [note.partition(": ")[2] for note in status.notes if note.startswith(_UNSERVED)]
    if unserved or most_are_away(status):
        return _standing_still(banks, unserved, children)
    if status.healthy:
        return Verdict("good", f"All is well: {_count(banks)} banks, {_copies(banks)}, {_checked(status)}.")
    troubles, deeds = _troubles(status, banks, children)
    return Verdict("warn", f"The drive works; {'; '.join(troubles)}.", " ".join(deeds))


def _silent(problem: str, children: Children | None) -> Verdict:
    why = problem.rstrip(".")
    if children is None:
        return Verdict("bad", f"The drive does not answer: {why}.", "`trivet up` starts it.")
    doing = "Its keeper is being started again; files can't be used until it is back."
    return Verdict("bad", f"The drive does not answer: {why}.", doing)


def most_are_away(status: Status) -> bool:
    """Tell whether so many banks are away that nothing can be changed, though nobody may have tried yet."""
    away = sum(all(one.state not in _ANSWERING for one in bank.servers) for bank in status.banks)
    return away * 2 > len(status.banks)


def _standing_still(banks: Sequence[BankTold], why: Sequence[str], children: Children | None) -> Verdict:
    away = [bank for bank in banks if bank.state == "away"]
    if len(away) * 2 > len(banks):
        sentence = f"The drive stands still: {len(away)} of {len(banks)} banks are away ({_bases(away)})."
        doing = f"Nothing can be changed until one is back. {_coming_back(banks, children)}"
        return Verdict("bad", sentence, doing)
    return Verdict("bad", f"The drive stands still: {'; '.join(why)}.", "`trivet status` says more.")


def _troubles(
    status: Status, banks: Sequence[BankTold], children: Children | None
) -> tuple[list[str], list[str]]:
    """Return what is wrong, and what is being done about it, clause by clause."""
    troubles: list[str] = []
    deeds: list[str] = []
    away = [bank for bank in banks if bank.state == "away"]
    partly = [bank for bank in banks if bank.state == "partly"]
    if away:
        are = "is away" if len(away) == 1 else "are away"
        troubles.append(f"{len(away)} of {len(banks)} banks {are} ({_bases(away)})")
        deeds.append(f"The other {_word(len(banks) - len(away))} serve.")
    for bank in partly:
        ports = [str(one.port) for one in bank.servers if one.state not in _ANSWERING]
        troubles.append(f"bank {bank.base} lacks server {', '.join(ports)}")
    if away or partly:
        deeds.append(_coming_back(banks, children))
    joining = [bank for bank in banks if any(one.state == "joining" for one in bank.servers)]
    if joining:
        troubles.append(f"bank {_bases(joining)} is catching up")
    full = [str(one.port) for bank in banks for one in bank.servers if one.state == "full"]
    if full:
        troubles.append(f"the disk of server {', '.join(full)} is full")
        deeds.append("Make room there; the other banks go on.")
    # what a server that is away has missed is brought up to date when it is back
    missed = sum(one.divergent for bank in banks for one in bank.servers if one.state not in _ANSWERING)
    if status.open_damage > missed:
        damaged = status.open_damage - missed
        troubles.append(f"{damaged:,} {'copy is' if damaged == 1 else 'copies are'} damaged or out of date")
        deeds.append("Damaged copies are being mended from good ones.")
    troubles += _other_notes(status, troubles)
    return troubles or ["the banks are being looked at"], deeds


def _other_notes(status: Status, troubles: Sequence[str]) -> list[str]:
    """Return the notes that say more than what was said already."""
    if NOT_MOUNTED in status.notes:
        return [NOT_MOUNTED]
    return [] if troubles else [note.rstrip(".") for note in status.notes[:2]]


def _coming_back(banks: Sequence[BankTold], children: Children | None) -> str:
    lacking = [one for bank in banks for one in bank.servers if one.state not in _ANSWERING]
    stopped = [one.port for one in lacking if one.state == "stopped"]
    if stopped:
        return f"Stopped on purpose: `trivet start {stopped[0]}` starts it again."
    if children is None:
        return "Nobody looks after its servers: start them by hand."
    hung = any(one.state == "hung" for one in lacking)
    what = "waited for" if hung else "being started again"
    return f"What is missing is {what}, then brought up to date."


def _count(banks: Sequence[BankTold]) -> str:
    return f"{sum(bank.state == 'whole' for bank in banks)} of {len(banks)}"


def _copies(banks: Sequence[BankTold]) -> str:
    return f"everything has {_word(len(banks))} copies" if len(banks) > 1 else "one copy of everything"


def _checked(status: Status) -> str:
    if status.refresh_age_s is None:
        return "the first check is under way"
    return f"last check {age_text(status.refresh_age_s)} ago"


def age_text(seconds: float) -> str:
    """Return how long `seconds` is, roughly: "40 s", "3 min", "2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _bases(banks: Sequence[BankTold]) -> str:
    return ", ".join(str(bank.base) for bank in banks)


def _word(number: int) -> str:
    return _WORDS.get(number, str(number))
