"""Columns of a table whose length is known only at its end, without ever being held twice.

Rule: texts are kept once each; a row holds the code of its text, first in its chunk, at the end in all.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trivet.errors import InputError

_FIRST_ROWS = 1 << 16
_GROWTH = 1.25


class GrowingArray:
    """A numpy array that grows in place (the system moves pages, not bytes, for large ones)."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._array = np.empty(0, dtype)
        self.used = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append `values`."""
        needed = self.used + len(values)
        if needed > len(self._array):
            self._array.resize(max(needed, _FIRST_ROWS, int(len(self._array) * _GROWTH)), refcheck=False)
        self._array[self.used : needed] = values
        self.used = needed

    def part(self, first: int, last: int) -> npt.NDArray[Any]:
        """Rows `first` to `last` as they are, to be changed in place; gone with the next `add`."""
        return self._array[first:last]

    def finish(self) -> npt.NDArray[Any]:
        """What was added."""
        self._array.resize(self.used, refcheck=False)
        return self._array


class CodedColumn:
    """A column of texts as codes of `dtype`."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._codes = GrowingArray(dtype)
        self._most = int(np.iinfo(np.dtype(dtype)).max)
        self._texts: list[pa.Array] = []
        self._edges = [0]

    def add(self, column: pa.Array) -> pa.DictionaryArray:
        """Append a `column` of strings; returns it as a dictionary of its own."""
        encoded = pc.dictionary_encode(column) if not pa.types.is_dictionary(column.type) else column
        self._check(len(encoded.dictionary), encoded.dictionary)
        self._codes.add(encoded.indices.to_numpy(zero_copy_only=False))
        self._texts.append(encoded.dictionary)
        self._edges.append(self._codes.used)
        return encoded

    def finish(self) -> tuple[pa.Array, npt.NDArray[Any]]:
        """All texts, each once, and the code of each row."""
        if not self._texts:
            return pa.array([], pa.string()), self._codes.finish()
        encoded = pc.dictionary_encode(pa.chunked_array(self._texts).combine_chunks())
        self._check(len(encoded.dictionary), encoded.dictionary)
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        first = 0
        for texts, begin, end in zip(self._texts, self._edges, self._edges[1:], strict=False):
            part = self._codes.part(begin, end)
            part[:] = codes[first : first + len(texts)][part]
            first += len(texts)
        return encoded.dictionary, self._codes.finish()

    def _check(self, count: int, texts: pa.Array) -> None:
        if count > self._most:
            raise InputError(
                f"{count:,} different names, such as {texts[0].as_py()!r}: is it the right column?"
            )
