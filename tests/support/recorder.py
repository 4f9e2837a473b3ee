"""A relay that records a real socket exchange as a capture, with the times at which the bytes passed."""

import socket
import threading
import time
from types import TracebackType

from packet_writer import FIN, CaptureWriter, Peer


class Recorder:
    """Listens on a port of its own, relays to `target` and writes what passes to `writer`."""

    def __init__(self, target: tuple[str, int], writer: CaptureWriter) -> None:
        self._target, self._writer = target, writer
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "Recorder":
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                peer = Peer(self._writer, client=address, server=("127.0.0.1", self.port))
                peer.handshake(time.time() - 0.001, 0.001)
            self._spawn(self._relay, peer, 0, client, server)
            self._spawn(self._relay, peer, 1, server, client)

    def _relay(self, peer: Peer, side: int, source: socket.socket, sink: socket.socket) -> None:
        while True:
            try:
                data = source.recv(65536)
            except ConnectionResetError:
                data = b""
            with self._lock:
                if data:
                    peer.say(side, time.time(), data)
                else:
                    peer.packet(side, time.time(), FIN | 16)
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
