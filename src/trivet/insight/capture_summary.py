"""What a capture says, in figures: connections as rows, exchanges as rows, totals per host and URL.

Rule: the JSON names here are a shape that other programs rely on; they are only added to.
"""

import ipaddress
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trivet.errors import InputError
from trivet.insight.capture import Capture
from trivet.insight.exchange import Exchange
from trivet.insight.tcp_order import Ints

Mask = npt.NDArray[np.bool_]


def canonical_server(server: str) -> str:
    """Return ADDRESS or ADDRESS:PORT as addresses are written here; raises InputError when it is neither."""
    address, _, port = server.rpartition(":")
    for text, tail in ((server, ""), (address, f":{port}")):
        try:
            parsed = ipaddress.ip_address(text.strip("[]"))
        except ValueError:
            continue
        if not tail or port.isdecimal():
            return f"[{parsed}]{tail}" if tail and parsed.version == 6 else f"{parsed}{tail}"
    raise InputError(f"--server wants an address or address:port, such as 192.0.2.7:80, not '{server}'")


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One connection; `opened` = its SYN was seen, `start_s` counts from the capture's first packet."""

    stream: int
    client: str
    server: str
    opened: bool
    start_s: float
    duration_s: float
    handshake_s: float | None
    packets: int
    bytes_up: int
    bytes_down: int
    turns: int
    retransmissions: int
    reordered: int
    missing_bytes: int
    resets: int
    silent: bool
    requests: int
    spoken: str
    server_name: str
    alpn: str
    tls_version: str


class CaptureView:
    """A finished capture seen through a filter: the connections opened to `server`, or the one `stream`."""

    def __init__(self, capture: Capture, server: str | None = None, stream: int | None = None) -> None:
        self.capture, self.server = capture, server
        table = capture.table
        count = table.count
        self.client_side = self._client_sides()
        ends = np.stack([table.column("endpoint_a"), table.column("endpoint_b")], axis=1)
        rows = np.arange(count)
        self._client = ends[rows, self.client_side]
        self._server = ends[rows, 1 - self.client_side]
        self.opened: Mask = table.column("syn_ns") >= 0
        self.mask: Mask = np.ones(count, np.bool_)
        if server is not None:
            self.mask &= self.opened & np.isin(self._server, self._matching(server))
        if stream is not None:
            if not 0 <= stream < count:
                raise InputError(f"there is no stream {stream}: this capture has streams 0 to {count - 1}")
            self.mask &= rows == stream
        self._missing = table.gaps.missing_bytes()
        filtered = server is not None or stream is not None
        self.exchanges = [one for one in capture.exchanges if not filtered or self.mask[one.stream]]
        self.filtered = filtered
        self._requests: dict[int, int] = defaultdict(int)
        self._protocols: dict[int, str] = {}  # as seen inside TLS, where 1.3 hides the choice
        for one in capture.exchanges:
            self._requests[one.stream] += one.method is not None
            if one.scheme == "https":
                self._protocols[one.stream] = "h2" if one.h2_stream >= 0 else "http/1.1"

    def _client_sides(self) -> Ints:
        table = self.capture.table
        syn_side = table.column("syn_side")
        ports = np.array(
            [
                [table.endpoint(int(end))[1] for end in pair]
                for pair in zip(
                    table.column("endpoint_a")[syn_side < 0],
                    table.column("endpoint_b")[syn_side < 0],
                    strict=True,
                )
            ],
            np.int64,
        ).reshape(-1, 2)
        sides = syn_side.copy()
        sides[syn_side < 0] = (ports[:, 1] > ports[:, 0]).astype(np.int64)
        for stream, spoken in self.capture.spoken.items():
            if spoken.client_side >= 0:
                sides[stream] = spoken.client_side
        return sides

    def servers(self) -> list[str]:
        """Return the servers that connections were opened to, those with most of them first."""
        numbers, counts = np.unique(self._server[self.opened], return_counts=True)
        return [self.endpoint_text(int(numbers[at])) for at in np.argsort(-counts, kind="stable")]

    def _matching(self, server: str) -> list[int]:
        server = canonical_server(server)
        found = []
        for number in np.unique(self._server).tolist():
            address, port = self.capture.table.endpoint(number)
            text = self.capture.book.text(address)
            if server in {text, f"{text}:{port}", f"[{text}]:{port}"}:
                found.append(number)
        return found

    def endpoint_text(self, number: int) -> str:
        """Return `address:port` of an endpoint."""
        address, port = self.capture.table.endpoint(number)
        text = self.capture.book.text(address)
        return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"

    def streams(self) -> list[int]:
        """Return the stream indexes that pass the filter."""
        return [int(stream) for stream in np.flatnonzero(self.mask)]

    def row(self, stream: int) -> ConnectionRow:
        """Return all that is known of connection `stream`."""
        table = self.capture.table
        up = int(self.client_side[stream])

        def both(name: str) -> int:
            return int(table.sides(name)[stream].sum())

        first_ns, last_ns = (
            int(table.sides("first_ns")[stream].min()),
            int(table.sides("last_ns")[stream].max()),
        )
        syn_ns, ack_ns = int(table.column("syn_ns")[stream]), int(table.column("ack_ns")[stream])
        spoken = self.capture.spoken.get(stream)
        client_hello = spoken and spoken.client_hello
        server_hello = spoken and spoken.server_hello
        sides = table.sides("bytes")[stream]
        return ConnectionRow(
            stream=stream,
            client=self.endpoint_text(int(self._client[stream])),
            server=self.endpoint_text(int(self._server[stream])),
            opened=bool(self.opened[stream]),
            start_s=(first_ns - self.capture.first_ns) / 1e9,
            duration_s=(last_ns - first_ns) / 1e9,
            handshake_s=(ack_ns - syn_ns) / 1e9 if syn_ns >= 0 and ack_ns >= 0 else None,
            packets=both("packets"),
            bytes_up=int(sides[up]),
            bytes_down=int(sides[1 - up]),
            turns=int(table.column("turns")[stream]),
            retransmissions=both("retransmissions"),
            reordered=both("reordered"),
            missing_bytes=self._missing.get(2 * stream, 0) + self._missing.get(2 * stream + 1, 0),
            resets=both("resets"),
            silent=int(sides.sum()) == 0,
            requests=self._requests.get(stream, 0),
            spoken=spoken.kind if spoken else "",
            server_name=client_hello.server_name if client_hello else "",
            alpn=self._protocols.get(stream)
            or ",".join((server_hello and server_hello.alpn) or (client_hello and client_hello.alpn) or ()),
            tls_version=server_hello.version if server_hello else "",
        )

    def connect_s(self, exchange: Exchange) -> float | None:
        """Return the handshake time of the exchange that came first on its connection, else None."""
        if exchange.number != 0:
            return None
        syn_ns, ack_ns = (
            int(self.capture.table.column(name)[exchange.stream]) for name in ("syn_ns", "ack_ns")
        )
        return (ack_ns - syn_ns) / 1e9 if syn_ns >= 0 and ack_ns >= 0 else None

    def totals(self) -> dict[str, Any]:
        """Return the figures of the whole (filtered) capture; the names are fixed."""
        table, mask = self.capture.table, self.mask
        whole = [one for one in self.exchanges if one.status is not None and one.whole]
        tallies = self.capture.tallies
        if self.filtered:
            tallies = {
                "requests": sum(one.method is not None for one in self.exchanges),
                "responses": len(whole),
                "pairs": sum(one.method is not None for one in whole),
                "incomplete": sum(one.status is not None and not one.whole for one in self.exchanges),
                "not_kept": tallies["not_kept"],
            }
        reused = sum(count > 1 and bool(mask[stream]) for stream, count in self._requests.items())
        data = table.sides("bytes").sum(axis=1)
        tls = [
            stream for stream, spoken in self.capture.spoken.items() if spoken.kind == "tls" and mask[stream]
        ]
        return {
            "packets": self.capture.packets,
            "streams": int(mask.sum()),
            "opened": int((self.opened & mask).sum()),
            "requests": tallies["requests"],
            "responses": tallies["responses"],
            "pairs": tallies["pairs"],
            "incomplete": tallies["incomplete"],
            "exchanges_not_kept": tallies["not_kept"],
            "retransmissions": int(table.sides("retransmissions")[mask].sum()),
            "reordered": int(table.sides("reordered")[mask].sum()),
            "resets": int(table.sides("resets")[mask].sum()),
            "missing_bytes": sum(size for side, size in self._missing.items() if mask[side >> 1]),
            "silent": int(((data == 0) & mask).sum()),
            "reused": reused,
            "tls_streams": len(tls),
            "bytes": int(data[mask].sum()),
            "duration_s": (self.capture.last_ns - self.capture.first_ns) / 1e9,
        }


def exchange_row(view: CaptureView, one: Exchange) -> dict[str, Any]:
    """Return an exchange as it stands in JSON; times in seconds, `start_s` from the first packet."""
    return {
        "stream": one.stream,
        "number": one.number,
        "method": one.method,
        "url": one.url,
        "host": one.host,
        "version": one.version,
        "status": one.status,
        "start_s": (one.began_ns - view.capture.first_ns) / 1e9,
        "connect_s": view.connect_s(one),
        "wait_s": one.wait_s,
        "transfer_s": one.transfer_s,
        "total_s": one.total_s,
        "request_bytes": one.request_bytes,
        "response_bytes": one.response_bytes,
        "content_type": one.content_type,
        "request_frame": one.request_frame or None,
        "response_frame": one.response_frame or None,
        "complete": one.whole,
        "malformed": one.malformed,
        "uncertain": one.uncertain,
        "interim": one.interim,
        "upgrade": one.upgrade,
        "h2_stream": one.h2_stream if one.h2_stream >= 0 else None,
    }


def connection_row(row: ConnectionRow) -> dict[str, Any]:
    """Return a connection as it stands in JSON."""
    return asdict(row)
