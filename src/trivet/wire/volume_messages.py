"""What a client of the volume and its keeper say to each other, around the calls themselves.

Rule: a client says hello first; each request has exactly one reply under the same request number.
Rule: a keeper on another host that stands by says no hello, only how far it has read, again and again.
Rule: calls, results and large bodies are opaque here: `volume/calls.py` says what they hold.
"""

from trivet.wire.journal_messages import BankMessage

CLIENT_BYTES = 16


class VolumeHello(BankMessage):
    """First request on a connection: `client` (16 random bytes) is who it is, also when it comes again.

    Answered by VolumeWelcome.
    """

    client: bytes


class VolumeWelcome(BankMessage):
    """`epoch` tells one reign of a keeper from the next: with a new one all handles and leases are gone.

    `resumed`: the keeper still has the handles of this client.
    """

    epoch: int
    resumed: bool


class VolumeCall(BankMessage):
    """One operation, msgpack in `call`, what is to be written in the body; VolumeAnswer or VolumeRefusal.

    A call with a `sequence` above 0 changes something and is done once, however often it is sent and to
    which keeper; the client has the answers of all such calls of its own below `answered`.
    """

    sequence: int
    call: bytes
    answered: int = 0


class VolumeAnswer(BankMessage):
    """The `result` (msgpack), what was read in the body."""

    result: bytes


class VolumeRefusal(BankMessage):
    """The operation failed: the name of the error's class, its errno and what it says."""

    error: str
    errno: int
    message: str


class KeeperFollows(BankMessage):
    """The keeper called `name`, process `pid` of another host, stands by and has read up to `slot`.

    It knows of so many `servers`; `trouble` says why its folder can't be read, "" if all is well. Answered by
    KeeperHeard.
    """

    name: str
    pid: int
    slot: int
    trouble: str
    servers: int


class KeeperHeard(BankMessage):
    """The keeper that leads has taken it in."""


class KeeperAsked(BankMessage):
    """A `request` to the keeper that leads, as on its control socket (JSON); no hello goes before it.

    Answered by KeeperAnswered; KeeperWorks comes unasked until then.
    """

    request: bytes


class KeeperWorks(BankMessage):
    """The keeper works on what it was asked; `progress` (JSON) says how far it is, b"" only that it lives."""

    progress: bytes = b""


class KeeperAnswered(BankMessage):
    """The last line of the control socket is in the body: a result, or an error."""


VOLUME_MESSAGES: tuple[type[BankMessage], ...] = (
    VolumeHello, VolumeWelcome, VolumeCall, VolumeAnswer, VolumeRefusal,
    KeeperFollows, KeeperHeard, KeeperAsked, KeeperWorks, KeeperAnswered,
)  # fmt: skip
