"""The TCP connections of a capture: who opened them, how long the handshake took, what went wrong.

Rule: a connection is one stream index, counted as tshark counts: by the order of first packets; a SYN with a
new initial sequence number on the same four-tuple begins another.
Rule: packets come in blocks; state is a few numbers a connection, in columns, never a packet.
"""

from dataclasses import dataclass

import numpy as np

from trivet.insight.tcp_order import Gaps, Ints, earlier_maximum, unwrap
from trivet.wire.packet_headers import ACK, FIN, RST, SYN, Segments

_PER_STREAM = {
    "endpoint_a": 0,
    "endpoint_b": 0,
    "syn_side": -1,
    "syn_ns": -1,
    "synack_ns": -1,
    "synack_frame": -1,
    "ack_ns": -1,
    "turns": 0,
    "last_side": -1,
    "first_frame": 0,
}
_PER_SIDE = {
    "initial": -1,
    "begin": -1,
    "packets": 0,
    "bytes": 0,
    "wire_bytes": 0,
    "first_ns": np.iinfo(np.int64).max,
    "last_ns": -1,
    "next": 0,
    "last_raw": -1,
    "last": 0,
    "retransmissions": 0,
    "reordered": 0,
    "keep_alives": 0,
    "resets": 0,
    "fins": 0,
}


@dataclass(frozen=True, slots=True)
class Placed:
    """The segments of a block, sorted by connection: `order` into the block, and per row of that order the
    `stream`, the `side` that sent it (0 or 1) and its 64-bit `sequence`."""

    order: Ints
    stream: Ints
    side: Ints
    sequence: Ints


class ConnectionTable:
    """All connections so far; columns grow as they come. Read them with `column` and `sides`."""

    def __init__(self) -> None:
        self.count = 0
        self.gaps = Gaps()
        self._streams = {name: np.empty(0, np.int64) for name in _PER_STREAM}
        self._sides = {name: np.empty((0, 2), np.int64) for name in _PER_SIDE}
        self._endpoints: dict[int, int] = {}
        self._endpoint_values: list[int] = []
        self._current: dict[int, int] = {}

    def column(self, name: str) -> Ints:
        """Return one value a connection."""
        return self._streams[name][: self.count]

    def sides(self, name: str) -> Ints:
        """Return two values a connection, as an (n, 2) array: of `endpoint_a` and of `endpoint_b`."""
        return self._sides[name][: self.count]

    def endpoint(self, number: int) -> tuple[int, int]:
        """Return (address number, port) of an endpoint."""
        value = self._endpoint_values[number]
        return value >> 16, value & 0xFFFF

    def add(self, segments: Segments) -> Placed:
        """Count a block of segments in, and say which connection each belongs to."""
        source = self._number(segments.source << 16 | segments.source_port)
        target = self._number(segments.target << 16 | segments.target_port)
        low, high = np.minimum(source, target), np.maximum(source, target)
        keys, group, first = self._groups(low << 32 | high)
        side = (source > target).astype(np.int64)
        order = np.argsort(group, kind="stable")
        setter = self._births(segments, keys, group, first, side)
        where = np.flatnonzero(setter[order] >= 0)
        fill = np.zeros(len(order), np.int64)
        fill[where] = where
        stream = setter[order][np.maximum.accumulate(fill)]
        side = side[order]
        self._count(segments, order, stream, side)
        sequence = self._sequences(segments, order, stream, side)
        self._handshakes(segments, order, stream, side)
        self._turns(segments, order, stream, side)
        return Placed(order, stream, side, sequence)

    def _number(self, values: Ints) -> Ints:
        unique, inverse = np.unique(values, return_inverse=True)
        numbers = np.empty(len(unique), np.int64)
        for index, value in enumerate(unique.tolist()):
            found = self._endpoints.get(value)
            if found is None:
                found = self._endpoints[value] = len(self._endpoint_values)
                self._endpoint_values.append(value)
            numbers[index] = found
        return numbers[inverse]

    @staticmethod
    def _groups(key: Ints) -> tuple[Ints, Ints, Ints]:
        keys, first, group = np.unique(key, return_index=True, return_inverse=True)
        return keys, group, first

    def _births(self, segments: Segments, keys: Ints, group: Ints, first: Ints, side: Ints) -> Ints:
        """Return per segment the stream that it begins; -1 = the same as before it in its group."""
        setter = np.full(len(group), -1, np.int64)
        current = [self._current.get(key, -1) for key in keys.tolist()]
        setter[first] = current
        events = np.union1d(np.flatnonzero(segments.flags & SYN), first[setter[first] < 0])
        rows = zip(
            events.tolist(),
            group[events].tolist(),
            side[events].tolist(),
            segments.flags[events].tolist(),
            segments.sequence[events].tolist(),
            segments.acknowledged[events].tolist(),
            strict=True,
        )
        self._reserve(self.count + len(events))
        initial = self._sides["initial"]
        for index, number, sender, flags, sequence, acknowledged in rows:
            stream = current[number]
            opening = flags & SYN and not flags & (ACK | RST)
            if stream < 0 or (opening and initial[stream, sender] != sequence):
                stream = current[number] = setter[index] = self.count
                self.count += 1
                key = int(keys[number])
                self._current[key] = stream
                self._streams["endpoint_a"][stream] = key >> 32
                self._streams["endpoint_b"][stream] = key & 0xFFFFFFFF
                self._streams["first_frame"][stream] = segments.frame[index]
            if opening:
                initial[stream, sender] = sequence
                if self._streams["syn_ns"][stream] < 0:
                    self._streams["syn_ns"][stream] = segments.time_ns[index]
                self._streams["syn_side"][stream] = sender
            elif flags & SYN and flags & ACK:
                if initial[stream, 1 - sender] < 0:
                    initial[stream, 1 - sender] = (acknowledged - 1) & 0xFFFFFFFF
                if self._streams["synack_ns"][stream] < 0:
                    self._streams["synack_ns"][stream] = segments.time_ns[index]
                    self._streams["synack_frame"][stream] = segments.frame[index]
                    self._streams["syn_side"][stream] = 1 - sender
        return setter

    def _reserve(self, count: int) -> None:
        have = len(self._streams["turns"])
        if count <= have:
            return
        size = max(count, have * 2, 256)
        for name, start in _PER_STREAM.items():
            grown = np.full(size, start, np.int64)
            grown[: self.count] = self._streams[name][: self.count]
            self._streams[name] = grown
        for name, start in _PER_SIDE.items():
            wide = np.full((size, 2), start, np.int64)
            wide[: self.count] = self._sides[name][: self.count]
            self._sides[name] = wide

    def _count(self, segments: Segments, order: Ints, stream: Ints, side: Ints) -> None:
        at = (stream, side)
        flags = segments.flags[order]
        for name, amount in (
            ("packets", np.ones(len(order), np.int64)),
            ("bytes", segments.length[order]),
            ("wire_bytes", segments.wire[order]),
            ("resets", ((flags & RST) > 0).astype(np.int64)),
            ("fins", ((flags & FIN) > 0).astype(np.int64)),
        ):
            np.add.at(self._sides[name], at, amount)
        np.minimum.at(self._sides["first_ns"], at, segments.time_ns[order])
        np.maximum.at(self._sides["last_ns"], at, segments.time_ns[order])

    def _sequences(self, segments: Segments, order: Ints, stream: Ints, side: Ints) -> Ints:
        """Unwrap sequence numbers and count what is out of line; return them in `order`."""
        direction = stream * 2 + side
        inner = np.argsort(direction, kind="stable")
        sorted_direction = direction[inner]
        rows = order[inner]
        present, start, groups = np.unique(sorted_direction, return_index=True, return_inverse=True)
        state = {name: self._sides[name].reshape(-1) for name in ("last_raw", "last", "next")}
        raw, flags, length = segments.sequence[rows], segments.flags[rows], segments.length[rows]
        fresh = state["last_raw"][present] < 0
        sequence = unwrap(raw, groups, start, state["last_raw"][present], state["last"][present])
        size = length + ((flags & SYN) > 0) + ((flags & FIN) > 0)
        known = np.where(fresh, sequence[start], state["next"][present])
        counted = np.where((size > 0) & ((flags & RST) == 0), sequence + size, known.min(initial=0))
        expected = earlier_maximum(counted, groups, start, known)
        stop = np.append(start[1:], len(rows)) - 1
        state["last_raw"][present], state["last"][present] = raw[stop], sequence[stop]
        state["next"][present] = np.maximum(expected[stop], counted[stop])
        syn = np.flatnonzero(flags & SYN)
        self._sides["begin"].reshape(-1)[sorted_direction[syn]] = sequence[syn] + 1
        odd = np.flatnonzero((size > 0) & ((flags & RST) == 0) & (sequence != expected))
        # a keep-alive asks whether the peer is there: no more than the byte before the next, no FIN
        asking = (length[odd] == size[odd]) & (size[odd] <= 1) & (expected[odd] - sequence[odd] == 1)
        self._odd(
            (
                sorted_direction[odd],
                sequence[odd],
                size[odd],
                expected[odd],
                asking,
                segments.time_ns[rows[odd]],
            )
        )
        result = np.empty_like(sequence)
        result[inner] = sequence
        return result

    def _odd(self, columns: tuple[Ints, ...]) -> None:
        for one, first, size, wanted, asking, now_ns in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if first > wanted:
                self.gaps.skip(one, wanted, first, now_ns)
                continue
            kind = "keep_alives" if asking else self.gaps.fill(one, first, first + size, now_ns)
            self._sides[kind][one >> 1, one & 1] += 1

    def _handshakes(self, segments: Segments, order: Ints, stream: Ints, side: Ints) -> None:
        table = self._streams
        flags, frame = segments.flags[order], segments.frame[order]
        third = (flags & (SYN | ACK | RST)) == ACK
        third &= (table["ack_ns"][stream] < 0) & (side == table["syn_side"][stream])
        third &= (table["synack_frame"][stream] >= 0) & (frame > table["synack_frame"][stream])
        rows = np.flatnonzero(third)
        streams, where = np.unique(stream[rows], return_index=True)
        table["ack_ns"][streams] = segments.time_ns[order[rows[where]]]

    def _turns(self, segments: Segments, order: Ints, stream: Ints, side: Ints) -> None:
        rows = np.flatnonzero(segments.length[order] > 0)
        if not len(rows):
            return
        streams, sides = stream[rows], side[rows]
        first = np.concatenate(([True], streams[1:] != streams[:-1]))
        previous = np.concatenate(([0], sides[:-1]))
        previous[first] = self._streams["last_side"][streams[first]]
        np.add.at(self._streams["turns"], streams, (previous != sides).astype(np.int64))
        last = np.concatenate((first[1:], [True]))
        self._streams["last_side"][streams[last]] = sides[last]
