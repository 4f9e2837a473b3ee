"""CONFIG: which server of each bank is its acceptor, which keeper reigns, as one record in the log itself.

Rule: the log always holds the newest CONFIG entry (trimming stops before it; write it again to go on).
Rule: a vote counts only from the incarnation that CONFIG names.
Rule: two keepers at most may serve a volume, each under a name that only one living process can hold.
"""

from collections.abc import Iterable

import msgspec

from trivet.errors import CorruptReplica
from trivet.wire.journal_messages import Identity

CONFIG_KEY = b"c/config"
#: The names of a volume's two keepers: the first, and the one that came to stand by.
KEEPER, STANDBY = "keeper", "standby"


#: The port and incarnation of who held a seat before, where nobody did.
NOBODY = (0, "")


class BankSeat(msgspec.Struct, array_like=True, frozen=True):
    """One bank's acceptor: its `port` and `incarnation`; blobs named up to `complete_through` are there.

    While a seat moves, `before` is the port and incarnation of who votes until the new server is admitted.
    """

    port: int
    incarnation: str
    complete_through: int = 0
    before: tuple[int, str] = NOBODY

    def settled(self) -> "BankSeat":
        """Return this seat as nobody's but its holder's."""
        return msgspec.structs.replace(self, before=NOBODY)


class Config(msgspec.Struct, array_like=True, frozen=True):
    """The seat of each bank by its base port; `standby` may take over from `keeper` ("": nobody may).

    With `vacant` the keeper has ended cleanly: nobody reads under a lease any more.
    """

    seats: dict[int, BankSeat]
    standby: str = ""
    keeper: str = KEEPER
    vacant: bool = False

    def with_seat(self, bank: int, seat: BankSeat) -> "Config":
        """Return this CONFIG with `seat` for `bank`."""
        return msgspec.structs.replace(self, seats={**self.seats, bank: seat})

    def moved_to(self, bank: int, server: Identity) -> "Config":
        """Return the CONFIG of a volume with one bank, if `server` has its seat, as the one of `bank`.

        Its journal is in a database: who takes it over elsewhere may use other ports.
        """
        seats = list(self.seats.values())
        if len(seats) != 1 or seats[0].incarnation != server.incarnation:
            return self
        return msgspec.structs.replace(
            self, seats={bank: msgspec.structs.replace(seats[0], port=server.port)}
        )

    def led_by(self, keeper: str) -> "Config":
        """Return this CONFIG with `keeper` on the throne; whom it follows stands by, if anybody does."""
        standby = self.keeper if keeper == self.standby else self.standby
        return msgspec.structs.replace(self, keeper=keeper, standby=standby, vacant=False)

    def names(self, bank: int, incarnation: str) -> bool:
        """Tell whether `incarnation` holds the seat of `bank`."""
        seat = self.seats.get(bank)
        return seat is not None and seat.incarnation == incarnation


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Config).decode


def encode_config(config: Config) -> bytes:
    """Return the record value of `config`; the same CONFIG gives the same bytes."""
    return _encode(msgspec.structs.replace(config, seats=dict(sorted(config.seats.items()))))


def decode_config(value: bytes) -> Config:
    """Return the CONFIG in a record's `value`, or raise CorruptReplica."""
    try:
        return _decode(value)
    except msgspec.DecodeError as error:
        raise CorruptReplica(f"the CONFIG record can't be read: {error}") from error


def likely_acceptor(servers: Iterable[Identity]) -> int | None:
    """Return the port of the one of a bank's `servers` to treat as its acceptor while no CONFIG is known.

    None if each says that it keeps blobs only. No server may be told its role before CONFIG is known: the
    one told to lay it down could be the very one that holds the log.
    """
    standings = ("empty", "joining", "suspect", "voter")
    able = [server for server in servers if server.standing in standings]
    best = max(able, key=lambda s: (standings.index(s.standing), s.accepted_epoch, s.head), default=None)
    return best.port if best is not None else None
