"""Which of a volume's hosts this machine is."""

import socket

import pytest

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeConfig
from trivet.supervise.own_host import own_host


def config_of(*hosts: str) -> VolumeConfig:
    bases = [7000, 8000, 9000]
    named = {str(base): host for base, host in zip(bases, hosts, strict=False)}
    return VolumeConfig("00" * 8, bases, 1, hosts=named, keeper=hosts[0] if hosts else "")


def test_a_volume_of_one_machine_has_no_hosts() -> None:
    assert own_host(config_of(), None) is None
    with pytest.raises(ConfigError, match="all on one machine"):
        own_host(config_of(), "alpha")


def test_it_is_what_it_is_told() -> None:
    config = config_of("alpha", "beta", "gamma")
    assert own_host(config, "Beta") == "beta"
    with pytest.raises(ConfigError, match="the hosts of this volume are alpha, beta, gamma"):
        own_host(config, "delta")


def test_it_is_found_by_name_or_address() -> None:
    elsewhere = ("240.0.0.1", "240.0.0.2")
    assert own_host(config_of("127.0.0.1", *elsewhere), None) == "127.0.0.1"
    name = socket.gethostname().lower()
    assert own_host(config_of(name, *elsewhere), None) == name


def test_what_can_not_be_found_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"is none of this volume's hosts .*--this-host"):
        own_host(config_of("240.0.0.1", "240.0.0.2", "240.0.0.3"), None)
    with pytest.raises(ConfigError, match=r"could be 127.0.0.1 or localhost .*--this-host"):
        own_host(config_of("127.0.0.1", "localhost", "240.0.0.3"), None)
