"""Which ports a bank's next servers get."""

from trivet.errors import InputError
from trivet.io.volume_folder import VolumeConfig

SERVERS_MAX = 100


def new_ports(config: VolumeConfig, base: int, count: int) -> list[int]:
    """Return the ports of `count` more servers of the bank at `base`, or raise InputError."""
    if base not in config.bases:
        known = ", ".join(map(str, config.bases))
        raise InputError(f"no bank of this drive begins at port {base}: its banks are {known}")
    row = config.ports()[config.bank_of(base)]
    if len(row) + count > SERVERS_MAX:
        raise InputError(f"bank {base} has {len(row)} servers: {SERVERS_MAX} is the most")
    new = [row[-1] + index for index in range(1, count + 1)]
    others = {port for other in config.ports() for port in other} | {config.keeper_port}
    taken = [port for port in new if port in others or port > 65535]
    if taken:
        raise InputError(f"bank {base} can't grow to port {taken[0]}: that is no port, or another's")
    return new
