"""A network of our own for a drive: ports in it can be cut off, and nothing of it outlives the drive.

Rule: rules are made inside the drive's network namespace, never in the machine's: the namespace ends with
its last process, whatever became of the test.
"""

import subprocess
from typing import Literal

Direction = Literal["both", "to the bank", "from the bank"]

_IN_IT = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
_TABLE = "trivet_faults"


def can_have_one() -> bool:
    """Tell whether this account may make network namespaces, and filter packets in them."""
    try:
        tried = subprocess.run([*_IN_IT, "nft", "list", "ruleset"], capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def words_in_new_one() -> list[str]:
    """Return what to put before a command so that it runs in a new network, with loopback up."""
    return list(_IN_IT)


class PrivateNet:
    """The network that process `pid` is in."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]

    def words(self) -> list[str]:
        """Return what to put before a command so that it runs in this network."""
        return list(self._enter)

    def cut(self, port: int, direction: Direction, *, reset: bool = False) -> None:
        """Drop (or answer by a reset) what goes to or comes from `port`, until `heal`."""
        verdict = "reject with tcp reset" if reset else "drop"
        rules = [f"add table inet {_TABLE}",
                 f"add chain inet {_TABLE} in {{ type filter hook input priority 0; }}"]  # fmt: skip
        for word, way in (("dport", "to the bank"), ("sport", "from the bank")):
            if direction in ("both", way):
                rules.append(f"add rule inet {_TABLE} in tcp {word} {port} counter {verdict}")
        self._nft("\n".join(rules))

    def heal(self) -> int:
        """Let everything through again; return how many packets were kept back."""
        listed = self._nft(f"list table inet {_TABLE}").split()
        self._nft(f"delete table inet {_TABLE}")
        return sum(int(listed[at + 1]) for at, word in enumerate(listed) if word == "packets")

    def _nft(self, rules: str) -> str:
        done = subprocess.run([*self._enter, "nft", "-f", "-"], input=rules, capture_output=True, text=True)
        assert done.returncode == 0, f"{rules}: {done.stderr}"
        return done.stdout
