"""What may go wrong between us and the vendor: drawn from a seed, or ordered by a test one by one."""

import random
from dataclasses import dataclass
from typing import Literal

from vendor_face import Answer, Asked, VendorFace, refused

Kind = Literal[
    "rate", "daily", "too many", "server", "lost request", "lost reply", "cut", "stall", "corrupt", "expire"
]
KINDS: tuple[Kind, ...] = (
    "rate", "too many", "server", "lost request", "lost reply", "cut", "stall", "corrupt", "expire"
)  # fmt: skip
STALL_S = 600.0


@dataclass
class Outcome:
    """What goes over the line: nothing (None), or an answer cut off `after` bytes; first a wait."""

    answer: Answer | None
    after: int | None = None
    wait_s: float = 0.0


class FaultLayer:
    """Stands before `face`; requests fail with probability `share`, or as `ordered` says.

    `down` is an outage: every connection breaks. `met` counts the faults by kind.
    """

    def __init__(self, face: VendorFace, seed: int = 0, share: float = 0.0) -> None:
        self.face = face
        self.share = share
        self.ordered: list[Kind] = []
        self.down = False
        self.met: dict[str, int] = {}
        self._rng = random.Random(seed)

    def take(self, asked: Asked) -> Outcome:
        """Do what is asked, or spoil it."""
        if self.down:
            return Outcome(None)
        kind: Kind | None = None
        if self.ordered:
            kind = self.ordered.pop(0)
        elif self._rng.random() < self.share:
            kind = self._rng.choice(KINDS)
        if kind is None:
            return Outcome(self.face.answer(asked))
        self.met[kind] = self.met.get(kind, 0) + 1
        return self._spoiled(kind, asked)

    def _spoiled(self, kind: Kind, asked: Asked) -> Outcome:
        if kind == "rate":
            return Outcome(refused(403, "rateLimitExceeded", "Rate Limit Exceeded"))
        if kind == "daily":
            return Outcome(refused(403, "dailyLimitExceeded", "Daily Limit Exceeded"))
        if kind == "too many":
            return Outcome(refused(429, "rateLimitExceeded", "Too many requests"))
        if kind == "server":
            return Outcome(refused(self._rng.choice((500, 502, 503, 504)), "backendError"))
        if kind == "lost request":
            return Outcome(None)
        if kind == "expire" and asked.plain.startswith("/session/"):
            self.face.drive.sessions.pop(asked.plain.rsplit("/", 1)[1], None)
        answer = self.face.answer(self._flipped(asked) if kind == "corrupt" else asked)
        if kind == "lost reply":
            return Outcome(None)
        if kind == "cut":
            return Outcome(answer, self._rng.randrange(len(answer.body) + 1))
        if kind == "corrupt" and answer.is_media and answer.body:
            return Outcome(Answer(answer.status, self._flip(answer.body), answer.headers, is_media=True))
        return Outcome(answer, wait_s=STALL_S if kind == "stall" else 0.0)

    def _flipped(self, asked: Asked) -> Asked:
        if not asked.plain.startswith("/session/") or not asked.body:
            return asked
        return Asked(asked.method, asked.path, asked.headers, self._flip(asked.body))

    def _flip(self, data: bytes) -> bytes:
        at = self._rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self._rng.randrange(8))]) + data[at + 1 :]
