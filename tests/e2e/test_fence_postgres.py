"""The fence of a volume in a real PostgreSQL: what is written under it, refused, and asked twice."""

import os

import pytest

from real_postgres import RealPostgres
from trivet.bank.fence import Fence, FenceLost
from trivet.bank.overlay import Change
from trivet.io.journal_database import StoredVolume, claim, find_or_make, read_claim
from trivet.io.postgres import Database, DatabasePlan, database_plan
from trivet.io.volume_folder import VolumeConfig, VolumeFolder

KEY = bytes(range(32))


class Places:
    """Two state folders of one new volume in `server`."""

    def __init__(self, server: RealPostgres, first: VolumeFolder, second: VolumeFolder) -> None:
        self.plan: DatabasePlan = database_plan(f"{server.url}?schema=f{os.urandom(4).hex()}")
        self.first, self.second = first, second
        found = find_or_make(self.plan, "file:///unused", StoredVolume("fenced", KEY, "file:///unused"))
        assert found == find_or_make(self.plan, None, StoredVolume("another", b"", "")), "made once"
        self.config = VolumeConfig("fenced", [7000], 1, journal=self.plan.given)

    def taken(self, folder: VolumeFolder) -> Fence:
        """Return the fence of `folder` after a `trivet up` there."""
        folder.path.mkdir(exist_ok=True)
        claim(folder, self.config)
        return self.begun(folder)

    def begun(self, folder: VolumeFolder) -> Fence:
        """Return the fence of `folder` after its server was started (again)."""
        fence = Fence(Database(self.plan), read_claim(folder), KEY)
        fence.begin()
        return fence

    def entries(self) -> list[bytes]:
        """Return the journal as it is."""
        with_journal = self.begun(self.first).begin()
        return with_journal.entries


@pytest.fixture
def places(postgres: RealPostgres, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Two state folders of a volume of the test's own."""
    folder = tmp_path_factory.mktemp("fence")
    return Places(postgres, VolumeFolder(folder / "first"), VolumeFolder(folder / "second"))


def test_a_commit_whose_answer_was_lost_is_done_once_when_it_is_asked_again(places: Places) -> None:
    fence = places.taken(places.first)
    fence.commit(0, [b"one", b"two"])
    fence.commit(0, [b"one", b"two"])
    fence.commit(2, [b"three"])
    fence.commit(3, [])
    assert not fence.lost
    assert places.entries() == [b"one", b"two", b"three"]


def test_who_was_followed_writes_nothing_and_names_a_higher_epoch(places: Places) -> None:
    fence = places.taken(places.first)
    meta = fence.begin().meta
    fence.commit(0, [b"one"])
    other = places.taken(places.second)
    other.commit(1, [b"two"])
    for write in (
        lambda: fence.commit(1, [b"lost"]),
        lambda: fence.commit(1, []),
        lambda: fence.store(meta),
        lambda: fence.note_dead("an object", is_gone=False),
    ):
        with pytest.raises(FenceLost, match="took this volume over"):
            write()
    assert fence.promised.number > meta.promised.number
    restarted = places.begun(places.first)
    assert "took this volume over" in restarted.lost
    assert restarted.begin().entries == [b"one", b"two"]
    assert other.dead_objects() == []
    places.taken(places.first).commit(2, [b"three"])
    with pytest.raises(FenceLost):
        other.commit(2, [b"lost"])


def test_a_server_that_was_started_again_ends_what_the_one_before_may_still_write(places: Places) -> None:
    before = places.taken(places.first)
    before.commit(0, [b"one"])
    after = places.begun(places.first)
    with pytest.raises(FenceLost):
        before.commit(1, [b"late"])
    after.commit(1, [b"two"])
    assert not after.lost


def test_trimming_keeps_the_last_of_each_record_and_a_new_log_takes_the_place_of_the_old(
    places: Places,
) -> None:
    fence = places.taken(places.first)
    meta = fence.begin().meta
    fence.commit(0, [b"one", b"two", b"three"])
    fence.store(meta, trimmed=1, changes={b"a": Change(1, b"x"), b"b": Change(1, b"y")})
    fence.store(meta, trimmed=2, changes={b"a": Change(2, None), b"b": Change(2, b"z")})
    assert [(row.key, row.slot, row.value) for part in fence.rows() for row in part] == [(b"b", 2, b"z")]
    fence.store(meta, above=2, raws=[b"other", b"four"])
    assert fence.begin().entries == [b"other", b"four"]
    fence.commit(4, [b"five"])
