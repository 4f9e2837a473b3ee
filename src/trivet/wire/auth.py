"""How two of our processes prove to each other that they hold the volume key.

The client sends `MAGIC` + 32 random bytes, the server answers `MAGIC` + 32 random bytes; both derive one key
for each direction. Nothing secret crosses the wire; the first frame's MAC is the proof.
"""

from blake3 import blake3

from trivet.errors import ProtocolError

MAGIC = b"TRIVET1\n"
NONCE_BYTES = 32
HELLO_BYTES = len(MAGIC) + NONCE_BYTES
KEY_BYTES = 32


def hello(nonce: bytes) -> bytes:
    """Return the first bytes a side sends; `nonce` is 32 random bytes, new for every connection."""
    assert len(nonce) == NONCE_BYTES
    return MAGIC + nonce


def nonce_of(data: bytes) -> bytes:
    """Return the nonce in a peer's hello, or raise ProtocolError."""
    if len(data) != HELLO_BYTES or not data.startswith(MAGIC):
        raise ProtocolError("the peer does not speak trivet's protocol")
    return data[len(MAGIC) :]


def session_keys(volume_key: bytes, client_nonce: bytes, server_nonce: bytes) -> tuple[bytes, bytes]:
    """Return (client to server, server to client): the two keys of this connection, 32 bytes each."""
    both = client_nonce + server_nonce
    to_server = blake3(b"client to server" + both, key=volume_key).digest()
    to_client = blake3(b"server to client" + both, key=volume_key).digest()
    return to_server, to_client
