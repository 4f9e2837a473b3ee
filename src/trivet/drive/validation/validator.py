"""Checks content while it streams: size, type, structure, checksums, in bounded memory.

Rule: the first thing that is wrong ends the transfer; nobody waits for the last byte of a bad one.
"""

import contextlib
import hashlib
import hmac
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from trivet.drive.validation.kinds import Kind
from trivet.drive.validation.rule import Rule
from trivet.drive.validation.structure import Structure, structure_of
from trivet.drive.validation.type_check import HEAD_BYTES, check_type
from trivet.errors import CorruptContent, InputError, UnsupportedType

HASHES = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Content:
    """What a stream turned out to be: its size, hex checksums by name (md5, sha1, sha256) and kind.

    `fault` is what is wrong with it when its rule is to flag such content, else None.
    """

    size_bytes: int
    checksums: Mapping[str, str]
    kind: Kind | None
    fault: str | None = None


class Validator:
    """Fed with a file's bytes in order, raises as soon as they can't be what was declared.

    `expected_size` in bytes and `expected_hashes` (hex, by md5, sha1 or sha256) are None and empty when the
    sender said nothing; they are looked at under every `rule`. With the rule off type and structure are not
    looked at, with flag they are only noted. Checksums are taken by `hashes`, and by those expected.
    """

    def __init__(
        self,
        declared_name: str,
        declared_mime: str | None = None,
        expected_size: int | None = None,
        expected_hashes: Mapping[str, str] | None = None,
        *,
        rule: Rule = "refuse",
        hashes: Collection[str] = HASHES,
    ) -> None:
        unknown = set(expected_hashes or ()) - set(HASHES)
        if unknown:
            raise InputError(f"checksums are md5, sha1 or sha256, not {', '.join(sorted(unknown))}")
        self._name, self._mime = declared_name, declared_mime
        self._expected_size = expected_size
        self._expected_hashes = dict(expected_hashes or {})
        taken = {*hashes, *self._expected_hashes}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in HASHES if name in taken}
        self._rule = rule
        self._head: bytearray | None = bytearray()
        self._fault: str | None = None
        self._kind: Kind | None = None
        self._structure: Structure | None = None
        self.size_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise CorruptContent or UnsupportedType when they can't be right."""
        self.size_bytes += len(chunk)
        if self._expected_size is not None and self.size_bytes > self._expected_size:
            raise CorruptContent(f"{self._name} is longer than the {self._expected_size:,} bytes announced")
        for one in self._hashes.values():
            one.update(chunk)
        if self._fault is None and self._rule != "off":
            with self._noting():
                self._look_at(chunk)

    def finish(self) -> Content:
        """Return what the content was; raise CorruptContent when it is cut or has another checksum."""
        if self._expected_size is not None and self.size_bytes != self._expected_size:
            raise CorruptContent(
                f"{self._name} ended after {self.size_bytes:,} of {self._expected_size:,} bytes"
            )
        found = {name: one.hexdigest() for name, one in self._hashes.items()}
        for name, expected in self._expected_hashes.items():
            if not hmac.compare_digest(found[name], expected.lower()):
                raise CorruptContent(f"the {name} of {self._name} is {found[name]}, announced was {expected}")
        if self._fault is None and self._rule != "off":
            with self._noting():
                if self._head is not None:
                    self._look()
                if self._structure is not None:
                    self._structure.finish()
        return Content(self.size_bytes, found, self._kind, self._fault)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (CorruptContent, UnsupportedType) as error:
            if self._rule == "refuse":
                raise
            self._fault = str(error)

    def _look_at(self, chunk: bytes) -> None:
        if self._head is None:
            if self._structure is not None:
                self._structure.feed(chunk)
            return
        self._head += chunk
        if len(self._head) >= HEAD_BYTES:
            self._look()

    def _look(self) -> None:
        held, self._head = bytes(self._head or b""), None
        self._kind = check_type(self._name, self._mime, held[:HEAD_BYTES])
        self._structure = structure_of(self._kind) if held else None
        if self._structure is not None:
            self._structure.feed(held)
