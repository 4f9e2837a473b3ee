"""When each TLS record of one direction began and ended: the true first-byte times of decrypted messages.

Rule: only record headers are read; nothing here needs a key.
"""

from bisect import bisect_left, bisect_right

_HEADER_BYTES = 5
_APPLICATION_DATA = 0x17


class RecordClock:
    """Notes for each application-data record the time of its first byte and the packet of its last."""

    def __init__(self) -> None:
        self._end_frames: list[int] = []
        self._starts_ns: list[int] = []
        self._header = b""
        self._left = 0
        self._start_ns = 0
        self._lost = False

    def feed(self, data: bytes, time_ns: int, frame: int) -> None:
        """Take the next bytes."""
        position = 0
        while position < len(data) and not self._lost:
            if self._left == 0:
                if not self._header:
                    self._start_ns = time_ns
                take = data[position : position + _HEADER_BYTES - len(self._header)]
                self._header += take
                position += len(take)
                if len(self._header) < _HEADER_BYTES:
                    return
                self._left = int.from_bytes(self._header[3:5], "big")
                self._lost = self._header[1] != 3
            size = min(self._left, len(data) - position)
            self._left -= size
            position += size
            if self._left == 0:
                if self._header[0] == _APPLICATION_DATA:
                    self._end_frames.append(frame)
                    self._starts_ns.append(self._start_ns)
                self._header = b""

    def gap(self, size_bytes: int) -> None:
        """Go on `size_bytes` later; beyond a record's end its neighbours can't be found any more."""
        if size_bytes < self._left:
            self._left -= size_bytes
        else:
            self._lost = True

    def began_ns(self, frame: int, after_frame: int) -> int | None:
        """Return when the first record that ended in packet `frame` began; None when there is none.

        Where several records ended in that packet and the message before also ended in it (`after_frame`),
        the last of them is meant.
        """
        low, high = bisect_left(self._end_frames, frame), bisect_right(self._end_frames, frame)
        if low == high:
            return None
        return self._starts_ns[high - 1 if after_frame == frame else low]
