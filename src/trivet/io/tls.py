"""TLS between the hosts of a volume: who is believed, and in words why somebody is not.

Rule: the volume's own authority and no other is trusted, the name is checked, TLS 1.3 and nothing older.
Rule: TLS says which host this is and keeps others from reading; who may ask is proved by the volume key.
"""

import asyncio
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

from trivet.errors import ConfigError
from trivet.io.unix_socket import socket_name
from trivet.io.volume_folder import VolumeFolder

Address = tuple[str, int] | Path

HANDSHAKE_TIMEOUT_S = 5.0
PARTING_TIMEOUT_S = 1.0
#: A peer whose host was pulled out is given up after about so many seconds: its connection counts until then.
_IDLE_S, _PROBE_EVERY_S, _PROBES = 10, 5, 3
_BACKLOG = 64
#: What OpenSSL calls the ways in which a certificate can be wrong (its x509_vfy.h).
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


def client_tls(folder: VolumeFolder) -> ssl.SSLContext:
    """Return what connects to hosts of the volume in `folder`; ConfigError if its authority is missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    path = folder.authority_path
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise ConfigError(
            f"{path}, the authority of this volume, can't be read ({error}): copy it from another host"
        ) from error
    return context


def server_tls(folder: VolumeFolder, host: str) -> ssl.SSLContext:
    """Return what `host` serves others with; ConfigError that says which file is missing or open to all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    certificate, key = folder.certificate_path(host), folder.host_key_path(host)
    try:
        if stat.S_IMODE(key.stat().st_mode) & 0o077:
            raise ConfigError(f"others can read {key}; `chmod 600 {key}`")
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ConfigError(
            f"{certificate} and {key.name}, which prove who {host} is, can't be used ({error}): "
            f"`trivet volume certify {host}` makes them where the authority's key is"
        ) from error
    return context


def tls_options(context: ssl.SSLContext | None) -> dict[str, Any]:
    """Return what a listening server is to be told of `context`; nothing without one."""
    if context is None:
        return {}
    return {
        "ssl": context,
        "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S,
        "ssl_shutdown_timeout": PARTING_TIMEOUT_S,
    }


async def connect_to(
    address: Address, protocol: asyncio.BaseProtocol, tls: ssl.SSLContext | None, gone_after_s: float | None
) -> None:
    """Connect `protocol` to `address`, (host, port) or the path of a unix socket; by `tls` to a host.

    The connection ends once the host has acknowledged nothing for `gone_after_s`; None: as TCP has it.
    """
    loop = asyncio.get_running_loop()
    if isinstance(address, Path):
        with socket_name(address) as name:
            await loop.create_unix_connection(lambda: protocol, name)
    else:
        transport, _ = await loop.create_connection(lambda: protocol, *address, ssl=tls)
        if gone_after_s is not None:
            _end_without_answer(transport.get_extra_info("socket"), gone_after_s)


def _end_without_answer(sock: socket.socket, after_s: float) -> None:
    """Have `sock` ask its idle peer every second, and break once nothing was acknowledged for `after_s`."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_USER_TIMEOUT, int(after_s * 1000))
    ):  # fmt: skip
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def why_not_trusted(address: Address, error: Exception) -> str:
    """Return a sentence for people about the host at `address` whose handshake ended in `error`.

    It is "" if that says nothing about who answers there.
    """
    name = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
    if not isinstance(error, ssl.SSLCertVerificationError):
        if not isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError):
            return ""
        why = getattr(error, "reason", None) or "it breaks off the handshake"
        return f"{name} does not speak TLS as this volume's hosts do ({why})"
    if error.verify_code == _EXPIRED:
        return f"the certificate of {name} has expired: `trivet volume certify` makes a new one"
    if error.verify_code == _NOT_YET:
        return f"the certificate of {name} is not valid yet: is the clock of this host or of that one wrong?"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"what answers at {name} is another host ({error.verify_message})"
    return f"the certificate of {name} is not from this volume's authority ({error.verify_message})"


def public_socket(port: int, host: str = "") -> socket.socket:
    """Return a socket that listens on `port` of the address `host`, "" all; OSError if it is taken.

    Connections whose peer is silent for good end by themselves.
    """
    is_ipv6 = ":" in host or (not host and socket.has_dualstack_ipv6())
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    listening = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_ipv6 and not host
    )
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _IDLE_S), (socket.TCP_KEEPINTVL, _PROBE_EVERY_S), (socket.TCP_KEEPCNT, _PROBES)
    ):  # fmt: skip
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
    return listening
