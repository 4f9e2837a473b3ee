"""The certificate authority of a volume, and the certificates by which its hosts prove who they are.

Rule: the authority signs hosts of this volume and nothing else; its key is never written into the folder that
is copied to them.
"""

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeFolder, write_synced

AUTHORITY_DAYS = 7300
HOST_DAYS = 1825
#: Clocks of hosts may differ by so much when the first link is made.
_SLACK_DAYS = 1


def make_authority(folder: VolumeFolder, volume: str, now: datetime.datetime) -> None:
    """Make the authority of `volume`: its certificate in the folder, its key beside it (mode 0600)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"trivet volume {volume}")
    certificate = (
        _begun(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.authority_path.parent.mkdir(mode=0o700, exist_ok=True)
    _write_key(folder.authority_key_path, key)
    write_synced(folder.authority_path, certificate.public_bytes(serialization.Encoding.PEM))


def certify(folder: VolumeFolder, host: str, authority_key: Path, now: datetime.datetime) -> None:
    """Make a key and a certificate for `host` (a name or an address), in place of those it had.

    Raises ConfigError when `authority_key` is not the key of the folder's authority.
    """
    authority, signer = _authority(folder, authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    is_own = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = (
        _begun(_name(host), authority.subject, key.public_key(), now, HOST_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_known_as(host)]), critical=False)
        .add_extension(is_own, critical=False)
        .sign(signer, hashes.SHA256())
    )
    folder.host_key_path(host).unlink(missing_ok=True)
    _write_key(folder.host_key_path(host), key)
    write_synced(folder.certificate_path(host), certificate.public_bytes(serialization.Encoding.PEM))


def _authority(
    folder: VolumeFolder, key_path: Path
) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    try:
        authority = x509.load_pem_x509_certificate(folder.authority_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"the authority's {folder.authority_path} or its key {key_path} can't be read: {error}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != authority.public_key():
        raise ConfigError(f"{key_path} is not the key of this volume's authority {folder.authority_path}")
    return authority, key


def _begun(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=_SLACK_DAYS))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _known_as(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a key that only its owner may read; what is there already is never replaced."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already: a key; move it away, or name another --state") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
