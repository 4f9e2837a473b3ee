"""One MiB of dirty data: parts that were written, where they lie, what they cover.

Rule: large writes are kept by reference, never copied; small ones that follow each other grow one buffer.
"""

from bisect import bisect_right

from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES

PART_COST_BYTES = 128
_GROW_BELOW_BYTES = 16 << 10


class Chunk:
    """The dirty parts of one MiB: `starts` and `parts`, sorted, never overlapping; `since` is when the
    first of them was written.
    """

    __slots__ = ("parts", "since", "starts")

    def __init__(self, since: float) -> None:
        self.starts: list[int] = []
        self.parts: list[bytes | bytearray] = []
        self.since = since

    @property
    def cost_bytes(self) -> int:
        """What holding this costs."""
        return sum(map(len, self.parts)) + PART_COST_BYTES * len(self.parts)

    @property
    def end(self) -> int:
        """Where the last part ends."""
        return self.starts[-1] + len(self.parts[-1]) if self.starts else 0

    @property
    def is_full(self) -> bool:
        """Whether the whole MiB is dirty."""
        return self.covers(0, MIB_BYTES)

    def write(self, start: int, data: bytes) -> int:
        """Put `data` at `start` of the MiB over what is there; return by how much the cost grew."""
        starts = self.starts
        size = len(data)
        if not starts:
            starts.append(start)
            self.parts.append(data)
            return size + PART_COST_BYTES
        last_start = starts[-1]
        last = self.parts[-1]
        last_end = last_start + len(last)
        if start == last_end and size < _GROW_BELOW_BYTES and len(last) < MIB_BYTES // 2:
            if type(last) is bytes:
                last = self.parts[-1] = bytearray(last)
            last += data
            return size
        if start >= last_end:
            starts.append(start)
            self.parts.append(data)
            return size + PART_COST_BYTES
        return self._write_over(start, data)

    def _write_over(self, start: int, data: bytes) -> int:
        end = start + len(data)
        low = max(bisect_right(self.starts, start) - 1, 0)
        if self.starts[low] + len(self.parts[low]) <= start:
            low += 1
        high = low
        count = len(self.starts)
        while high < count and self.starts[high] < end:
            high += 1
        if high - low == 1:
            at = start - self.starts[low]
            part = self.parts[low]
            if at >= 0 and at + len(data) <= len(part) and len(data) < len(part):
                if type(part) is bytes:
                    part = self.parts[low] = bytearray(part)
                assert isinstance(part, bytearray)
                part[at : at + len(data)] = data
                return 0
        starts = [start]
        parts: list[bytes | bytearray] = [data]
        if low < high:
            if self.starts[low] < start:
                starts.insert(0, self.starts[low])
                parts.insert(0, bytes(self.parts[low][: start - self.starts[low]]))
            tail = end - self.starts[high - 1]
            if tail < len(self.parts[high - 1]):
                starts.append(end)
                parts.append(bytes(self.parts[high - 1][tail:]))
        before = sum(map(len, self.parts[low:high])) + PART_COST_BYTES * (high - low)
        self.starts[low:high] = starts
        self.parts[low:high] = parts
        return sum(map(len, parts)) + PART_COST_BYTES * len(parts) - before

    def cut(self, size: int) -> int:
        """Drop what lies from `size` on; return by how much the cost shrank."""
        before = self.cost_bytes
        while self.starts and self.starts[-1] >= size:
            self.starts.pop()
            self.parts.pop()
        if self.starts and self.end > size:
            self.parts[-1] = bytes(self.parts[-1][: size - self.starts[-1]])
        return before - self.cost_bytes

    def covers(self, start: int, end: int) -> bool:
        """Tell whether every byte of [`start`, `end`) is dirty."""
        index = bisect_right(self.starts, start) - 1
        if index < 0:
            return start >= end
        while start < end:
            if index >= len(self.starts) or self.starts[index] > start:
                return False
            start = max(start, self.starts[index] + len(self.parts[index]))
            index += 1
            if start < end and index >= len(self.starts):
                return False
        return True

    def whole(self, start: int, end: int) -> bytes | None:
        """Return the bytes [`start`, `end`) if all of them are dirty, by reference if one part holds them."""
        found = self.slices(start, end)
        if len(found) == 1:
            return found[0][1] if len(found[0][1]) == end - start else None
        if sum(len(part) for _at, part in found) == end - start:
            return b"".join(part for _at, part in found)
        return None

    def slices(self, start: int, end: int) -> list[tuple[int, bytes]]:
        """Return (offset from `start`, bytes) of what is dirty in [`start`, `end`).

        Whole parts come by reference.
        """
        found = []
        index = max(bisect_right(self.starts, start) - 1, 0)
        for at in range(index, len(self.starts)):
            part_start = self.starts[at]
            if part_start >= end:
                break
            part = self.parts[at]
            low = max(start - part_start, 0)
            high = min(end - part_start, len(part))
            if low < high:
                found.append((part_start + low - start, bytes(part[low:high])))
        return found

    def page_runs(self, size: int) -> list[tuple[int, int]]:
        """Return the runs of pages [first, end) that hold dirty bytes before `size`."""
        runs: list[tuple[int, int]] = []
        for start, part in zip(self.starts, self.parts, strict=True):
            if start >= size:
                break
            first = start // PAGE_BYTES
            end = -(-min(start + len(part), size) // PAGE_BYTES)
            if runs and first <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
            else:
                runs.append((first, end))
        return runs
