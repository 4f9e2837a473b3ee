"""Link, IP and TCP headers of many packets at once: a block of packets in, columns of TCP segments out.

Rule: vectorised; the same few steps whatever the number of packets.
Rule: a packet too short for its headers is counted, never guessed at.
Link types: Ethernet with VLAN tags, Linux cooked 1 and 2, BSD loopback, raw IP.
"""

import ipaddress
from dataclasses import dataclass

import numpy as np

from trivet.wire.capture_file import Bytes, Ints, PacketBlock

FIN, SYN, RST, ACK = 1, 2, 4, 16
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8, 0x9100)
#: IPv6 headers that may stand before TCP: hop-by-hop, routing, fragment, authentication, destination.
_EXTENSIONS = (0, 43, 44, 51, 60)
_FAMILY_V6 = (10, 24, 28, 30)
#: link type -> (where the protocol number stands, where the payload begins)
_LINKS = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
_RAW_LINKS = (12, 14, 101, 228, 229)
_LOOPBACK_LINKS = (0, 108)
KNOWN_LINKS = (*_LINKS, *_RAW_LINKS, *_LOOPBACK_LINKS)


@dataclass(frozen=True, slots=True)
class Segments:
    """TCP segments, one a row, in the order of the capture.

    `source`/`target` number addresses of an AddressBook; `length` is the payload on the wire, `captured` what
    of it is in the file, at `offset` of `data`; `window` is unscaled.
    """

    data: Bytes
    frame: Ints
    time_ns: Ints
    source: Ints
    target: Ints
    source_port: Ints
    target_port: Ints
    sequence: Ints
    acknowledged: Ints
    flags: Ints
    length: Ints
    captured: Ints
    offset: Ints
    wire: Ints

    def __len__(self) -> int:
        return len(self.frame)


class AddressBook:
    """Numbers IP addresses in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._addresses: list[bytes] = []

    def number(self, packed: Bytes) -> Ints:
        """Return the number of each row of `packed`, an (n, 4) or (n, 16) array."""
        width = packed.shape[1]
        keys = np.ascontiguousarray(packed).view(f"S{width}" if width == 16 else ">u4").ravel()
        unique, inverse = np.unique(keys, return_inverse=True)
        raw = unique.tobytes()
        numbers = np.empty(len(unique), np.int64)
        for index in range(len(unique)):
            key = raw[index * width : (index + 1) * width]
            found = self._numbers.get(key)
            if found is None:
                found = self._numbers[key] = len(self._addresses)
                self._addresses.append(key)
            numbers[index] = found
        return numbers[inverse]

    def text(self, number: int) -> str:
        """Return the address as people write it."""
        return str(ipaddress.ip_address(self._addresses[number]))


@dataclass(slots=True)
class PacketCounts:
    """What was not TCP, or could not be read as such."""

    other: int = 0
    too_short: int = 0
    fragments: int = 0
    unknown_link: int = 0
    cut: int = 0


def _u16(data: Bytes, at: Ints) -> Ints:
    return (data[at].astype(np.int64) << 8) | data[at + 1]


def _u32(data: Bytes, at: Ints) -> Ints:
    return (_u16(data, at) << 16) | _u16(data, at + 2)


def _network_layer(block: PacketBlock, counts: PacketCounts) -> tuple[Ints, Ints]:
    """Return (protocol, offset of the network header) of each packet; protocol 0 = not known."""
    data = block.data
    protocol = np.zeros(len(block.offset), np.int64)
    network = block.offset.copy()
    for link in np.unique(block.link):
        mask = block.link == link
        at = block.offset[mask]
        if int(link) in _LINKS:
            where, size = _LINKS[int(link)]
            protocol[mask] = _u16(data, at + where)
            network[mask] = at + size
        elif int(link) in _RAW_LINKS:
            version = data[at] >> 4
            protocol[mask] = np.where(version == 4, _IPV4, np.where(version == 6, _IPV6, 0))
        elif int(link) in _LOOPBACK_LINKS:
            family = np.maximum(data[at], data[at + 3])
            known = np.where(np.isin(family, _FAMILY_V6), _IPV6, 0)
            protocol[mask] = np.where(family == 2, _IPV4, known)
            network[mask] = at + 4
        else:
            counts.unknown_link += int(mask.sum())
    for _ in range(4):
        tagged = np.isin(protocol, _VLAN)
        if not tagged.any():
            break
        at = np.minimum(network[tagged], len(data) - 8)
        protocol[tagged] = _u16(data, at + 2)
        network[tagged] = at + 4
    return protocol, network


def _ipv6_transport(data: Bytes, network: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Follow the extension headers: (transport protocol, its offset, whether a later fragment)."""
    following = data[network + 6].astype(np.int64)
    at = network + 40
    fragment = np.zeros(len(network), np.int64)
    for _ in range(8):
        more = np.isin(following, _EXTENSIONS) & (at + 8 <= end)
        if not more.any():
            break
        here, kind = at[more], following[more]
        units = data[here + 1].astype(np.int64)
        size = np.where(kind == 44, 8, np.where(kind == 51, (units + 2) * 4, (units + 1) * 8))
        fragment[more] |= np.where(kind == 44, _u16(data, here + 2) >> 3, 0)
        following[more] = data[here]
        at[more] = np.minimum(here + size, end[more])
    return following, at, fragment


def decode(block: PacketBlock, book: AddressBook, counts: PacketCounts) -> Segments:
    """Return the TCP segments of `block`; addresses go into `book`, what is no TCP is counted in `counts`."""
    data = block.data
    protocol, network = _network_layer(block, counts)
    end = block.offset + block.captured
    counts.cut += int((block.captured < block.wire).sum())
    index: list[Ints] = []
    parts: list[tuple[Ints, ...]] = []
    for kind, minimum in ((_IPV4, 20), (_IPV6, 40)):
        mask = protocol == kind
        short = mask & (network + minimum > end)
        counts.too_short += int(short.sum())
        rows = np.flatnonzero(mask & ~short)
        if not len(rows):
            continue
        at, stop = network[rows], end[rows]
        room = block.offset[rows] + block.wire[rows]
        if kind == _IPV4:
            transport = at + (data[at] & 15).astype(np.int64) * 4
            following = data[at + 9].astype(np.int64)
            fragment = _u16(data, at + 6) & 0x1FFF
            total = _u16(data, at + 2)
            ip_end = np.where(total == 0, room, at + total)  # 0: the network card was to cut it
            addresses = data[at[:, None] + np.arange(12, 20)].reshape(-1, 4)
        else:
            following, transport, fragment = _ipv6_transport(data, at, stop)
            total = _u16(data, at + 4)
            ip_end = np.where(total == 0, room, at + 40 + total)
            addresses = data[at[:, None] + np.arange(8, 40)].reshape(-1, 16)
        tcp = (following == 6) & (fragment == 0)
        counts.fragments += int(((fragment != 0) & (following == 6)).sum())
        fits = tcp & (transport + 14 <= stop) & (transport >= at + minimum)
        counts.too_short += int((tcp & ~fits).sum())
        numbers = book.number(addresses).reshape(-1, 2) if len(rows) else np.empty((0, 2), np.int64)
        index.append(rows[fits])
        parts.append((transport[fits], np.minimum(ip_end, room)[fits], numbers[fits, 0], numbers[fits, 1]))
    counts.other += len(block.offset) - sum(map(len, index))
    return _segments(block, index, parts)


def _segments(block: PacketBlock, index: list[Ints], parts: list[tuple[Ints, ...]]) -> Segments:
    empty = np.empty(0, np.int64)
    rows = np.concatenate(index) if index else empty
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    tcp, ip_end, source, target = (
        np.concatenate([part[column] for part in parts])[order] if parts else empty for column in range(4)
    )
    data = block.data
    payload = tcp + np.maximum(data[tcp + 12] >> 4, 5).astype(np.int64) * 4
    end = block.offset[rows] + block.captured[rows]
    length = np.maximum(ip_end - payload, 0)
    return Segments(
        data=data,
        frame=block.first_frame + rows,
        time_ns=block.time_ns[rows],
        source=source,
        target=target,
        source_port=_u16(data, tcp),
        target_port=_u16(data, tcp + 2),
        sequence=_u32(data, tcp + 4),
        acknowledged=_u32(data, tcp + 8),
        flags=data[tcp + 13].astype(np.int64),
        length=length,
        captured=np.clip(np.minimum(ip_end, end) - payload, 0, length),
        offset=payload,
        wire=block.wire[rows],
    )
