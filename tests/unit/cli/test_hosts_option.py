"""`--bank PORT=HOST` and `--keeper HOST:PORT` as people write them."""

import pytest

from trivet.cli.hosts_option import checked_host, shared_words, spread_of
from trivet.errors import InputError
from trivet.io.volume_folder import FORMAT, PAIR_FORMAT

THREE = ["7000=alpha", "8000=beta", "9000=gamma"]


def test_one_host_a_bank() -> None:
    spread = spread_of(THREE, None, 2)
    assert spread is not None
    assert spread.hosts == {
        "7000": "alpha", "7001": "alpha", "8000": "beta", "8001": "beta", "9000": "gamma", "9001": "gamma"
    }  # fmt: skip
    assert (spread.bases, spread.servers, spread.keeper) == ([7000, 8000, 9000], 2, "alpha")
    assert shared_words(spread) == []


def test_a_host_for_each_server_and_one_for_a_whole_bank() -> None:
    spread = spread_of(["9000=c1, c2", "7000=10.0.0.1", "8000=FD00::0001"], "delta:7777", None)
    assert spread is not None
    assert spread.servers == 2
    assert spread.hosts["9001"] == "c2"
    assert spread.hosts["7001"] == "10.0.0.1"
    assert spread.hosts["8000"] == "fd00::1"
    assert (spread.keeper, spread.keeper_port) == ("delta", 7777)


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("delta", "delta", 6900),
        ("fd00::1", "fd00::1", 6900),
        ("[fd00::1]:99", "fd00::1", 99),
        ("a:1", "a", 1),
    ],
)
def test_the_keepers_host(written: str, host: str, port: int) -> None:
    spread = spread_of(THREE, written, None)
    assert spread is not None
    assert (spread.keeper, spread.keeper_port) == (host, port)


def test_a_second_keeper_has_a_host_of_its_own() -> None:
    spread = spread_of(THREE, "alpha", None, "Beta")
    assert spread is not None
    assert (spread.fields()["standby"], spread.fields()["format"]) == ("beta", PAIR_FORMAT)
    alone = spread_of(THREE, "alpha", None)
    assert alone is not None
    assert (alone.fields()["standby"], alone.fields()["format"]) == ("", FORMAT)
    with pytest.raises(InputError, match="the first keeper runs there"):
        spread_of(THREE, "alpha", None, "alpha")
    with pytest.raises(InputError, match="--standby HOST goes with --bank"):
        spread_of(None, None, None, "alpha")


def test_a_host_with_two_banks_is_warned_of() -> None:
    spread = spread_of(["7000=alpha", "8000=beta", "9000=alpha"], None, 1)
    assert spread is not None
    (word,) = shared_words(spread)
    assert "alpha has servers of banks 7000 and 9000" in word


@pytest.mark.parametrize(
    ("banks", "keeper", "word"),
    [
        (None, "alpha", "--keeper HOST goes with --bank"),
        (THREE[:2], None, "three banks"),
        ([*THREE[:2], "8000=gamma"], None, "three banks"),
        ([*THREE[:2], "x=gamma"], None, "first port and its hosts"),
        ([*THREE[:2], "9000"], None, "first port and its hosts"),
        ([*THREE[:2], "9000="], None, "neither the name of a host nor an address"),
        ([*THREE[:2], "9000=a,b,c", "7000=a,b"], None, "three banks"),
        (["7000=a,b", "8000=c", "9000=d,e,f"], None, "name one host for all of them, or 3"),
        (THREE, "delta:8000", "that port is a bank's"),
        (THREE, "delta:70000", "write HOST or HOST:PORT"),
        (THREE, "../x", "neither the name"),
    ],
)
def test_what_can_not_be(banks: list[str] | None, keeper: str | None, word: str) -> None:
    with pytest.raises(InputError, match=word):
        spread_of(banks, keeper, None)


@pytest.mark.parametrize("host", ["", "-a", "a b", "a/b", "a..b", "ä", "a:b", "x" * 254])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(InputError):
        checked_host(host)
