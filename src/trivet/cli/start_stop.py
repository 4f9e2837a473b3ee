"""`trivet stop` and `trivet start`: a server or a whole bank, on purpose."""

from typing import Annotated

from cyclopts import Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_supervisor, print_json, volume_folder
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.control_messages import Children

OneServer = Annotated[
    bool, Parameter(name="--server", negative="", help="Mean the one server on a base port, not its bank.")
]


def stop(
    port: int, /, *, server: OneServer = False, state: State = DEFAULT_STATE, json: AsJson = False
) -> int:
    """Stop the bank with base PORT, or the one server on PORT; it stays stopped until `trivet start`."""
    return _order(volume_folder(state), "stop", port, server, json)


def start(
    port: int, /, *, server: OneServer = False, state: State = DEFAULT_STATE, json: AsJson = False
) -> int:
    """Start the bank with base PORT, or the one server on PORT."""
    return _order(volume_folder(state), "start", port, server, json)


def ports_meant(config: VolumeConfig, port: int, *, only_server: bool) -> list[int]:
    """Return the ports somebody means by `port`: a base stands for its whole bank unless `only_server`."""
    row = config.ports()[config.bank_of(port)]
    return row if port == row[0] and not only_server else [port]


def _order(folder: VolumeFolder, verb: str, port: int, only_server: bool, json: bool) -> int:
    ports = ports_meant(folder.read_config(), port, only_server=only_server)
    told = ask_supervisor(folder, verb, Children, {"ports": ports})
    if json:
        print_json(told)
    else:
        done = "stopped" if verb == "stop" else "started"
        names = "server" if len(ports) == 1 else "servers"
        print(f"{done} {names} {', '.join(map(str, ports))}")
    return 0
