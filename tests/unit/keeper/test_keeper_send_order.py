"""To whom the keeper sends first when a bank shares its processor."""

import os
from pathlib import Path

import pytest

from small_drive import small_drive
from trivet.io.link import Link
from trivet.io.processors import current_processor, processors_of
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.journal_messages import Append


async def test_a_bank_on_our_own_processor_gets_an_entry_behind_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Link] = []
    plain = Link.send_request

    def noted(link: Link, message: object, *rest: object) -> None:
        if isinstance(message, Append):
            sent.append(link)
        plain(link, message, *rest)

    async with small_drive(tmp_path / "state") as drive:
        first, second, _ = [drive.keeper.fleet.banks[at][0] for at in range(3)]
        monkeypatch.setattr(Link, "send_request", noted)
        for mine, order in ((first, [second, first]), (second, [first, second])):
            for server in (first, second):
                server.processors = processors_of(os.getpid()) if server is mine else frozenset()
            sent.clear()
            await drive.loaded.volume.mkdir(ROOT_INO, b"for %d" % mine.port, 0o755, Caller(0, 0))
            assert [link for link in sent if link in (first.journal, second.journal)][:2] == [
                server.journal for server in order
            ]


def test_processors_of_a_process_hold_the_one_it_runs_on() -> None:
    assert current_processor() in processors_of(os.getpid())
    assert processors_of(2**22 + 1) == frozenset()
