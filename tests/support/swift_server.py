"""One process of OpenStack Swift with its settings in a folder of its own; runs on the system's Python.

Usage: /usr/bin/python3 swift_server.py FOLDER rings PORTS | account|container|object|proxy
Rule: /etc/swift and the services of the packages are never read, changed or started.
"""

import sys
from pathlib import Path


def make_rings(folder: Path, ports: dict[str, int]) -> None:
    """Make rings of one device and one copy each."""
    from swift.common.ring import RingBuilder

    for kind, port in ports.items():
        builder = RingBuilder(5, 1, 0)
        place = {"ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1, "region": 1, "zone": 1}
        builder.add_dev({**place, "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def serve(folder: Path, kind: str) -> int:
    """Serve until killed."""
    from swift.common.wsgi import run_wsgi

    return run_wsgi(str(folder / f"{kind}-server.conf"), f"{kind}-server", verbose=True)


def main() -> int:
    """Do what the command line says."""
    folder = Path(sys.argv[1])
    from swift.common import utils

    # Swift knows only one place for this file, and no option for another.
    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    if sys.argv[2] == "rings":
        kinds = ("account", "container", "object")
        make_rings(folder, dict(zip(kinds, map(int, sys.argv[3:]), strict=True)))
        return 0
    return serve(folder, sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
