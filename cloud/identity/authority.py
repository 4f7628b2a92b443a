"""Signs with the fleet's key: certificates for boxes and for the cloud's processes, and the list of those revoked.

One authority, P-256, ten years. Who a certificate is for comes from us, never from the request. A box's certificate
proves a client and nothing else, a server's a server and its addresses, so that neither can stand in for the other.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.fleet.errors import SpecError

AUTHORITY_LIFE: Final = timedelta(days=3652)
BOX_LIFE: Final = timedelta(days=90)
PROCESS_LIFE: Final = timedelta(days=397)
RENEW_AT: Final = 2 / 3
"""Of a life: a site may then be dark for 30 days without missing its turn."""
SLACK: Final = timedelta(hours=1)
"""By which a box's clock may be behind ours."""
_CURVE: Final = ec.SECP256R1


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was signed."""

    name: str
    serial: int
    pem: bytes
    renew_after: datetime
    expires: datetime
    key: str  # fingerprint of its public key


@dataclass(frozen=True, slots=True)
class Request:
    """A key that its holder has proven to hold."""

    public: ec.EllipticCurvePublicKey
    key: str  # fingerprint


class Authority:
    """The fleet's key and its certificate."""

    def __init__(self, certificate: x509.Certificate, private: ec.EllipticCurvePrivateKey) -> None:
        self._certificate, self._private = certificate, private

    @classmethod
    def create(cls, now: datetime) -> "Authority":
        """Return a new authority."""
        private = ec.generate_private_key(_CURVE())
        serial = x509.random_serial_number()
        name = x509.Name(  # its own serial number: two authorities of one name would confuse whoever trusts both
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "edgefleet authority"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
            ]
        )
        made = (
            _builder(name, name, private.public_key(), (now - SLACK, now + AUTHORITY_LIFE))
            .serial_number(serial)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .sign(private, hashes.SHA256())
        )
        return cls(made, private)

    @classmethod
    def load(cls, certificate: bytes, private: bytes) -> "Authority":
        """Return the authority that two PEM files hold. Raises SpecError."""
        try:
            loaded = serialization.load_pem_private_key(private, None)
            known = x509.load_pem_x509_certificate(certificate)
        except (ValueError, TypeError):
            raise SpecError("the authority's files hold no certificate and key: restore them from a copy") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or known.public_key() != loaded.public_key():
            raise SpecError("the authority's key does not belong to its certificate: restore both from one copy")
        return cls(known, loaded)

    @property
    def certificate(self) -> bytes:
        """The certificate, in PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def private(self) -> bytes:
        """The key, in PEM, for a file that nobody else may read."""
        return private_pem(self._private)

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, in hex."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()

    def admit(self, name: str, request: Request, now: datetime) -> Issued:
        """Return a certificate for a client of this name."""
        return self._sign(name, request.public, (now, BOX_LIFE), ExtendedKeyUsageOID.CLIENT_AUTH)

    def client(self, name: str, now: datetime) -> tuple[Issued, bytes]:
        """Return a certificate and a key for one of the cloud's processes."""
        private = ec.generate_private_key(_CURVE())
        made = self._sign(name, private.public_key(), (now, PROCESS_LIFE), ExtendedKeyUsageOID.CLIENT_AUTH)
        return made, private_pem(private)

    def server(self, name: str, hosts: Sequence[str], now: datetime) -> tuple[Issued, bytes]:
        """Return a certificate and a key for a server that is reached by these names and addresses."""
        private = ec.generate_private_key(_CURVE())
        life = (now, PROCESS_LIFE)
        made = self._sign(name, private.public_key(), life, ExtendedKeyUsageOID.SERVER_AUTH, hosts)
        return made, private_pem(private)

    def revoked(self, serials: Iterable[int], now: datetime) -> bytes:
        """Return the list of revoked certificates. It lasts as long as we do: an old list would shut everyone out."""
        listed = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now)
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(_issuer_key(self._certificate), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for serial in sorted(set(serials)):
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            listed = listed.add_revoked_certificate(one)
        return listed.sign(self._private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def read_own(self, pem: bytes) -> Issued | None:
        """Return what a certificate says that we have signed for a client, expired or not; None: it is none."""
        try:
            given = x509.load_pem_x509_certificate(pem)
            given.verify_directly_issued_by(self._certificate)
            usage = given.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            names = given.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return None
        public = given.public_key()
        if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or not isinstance(public, ec.EllipticCurvePublicKey):
            return None
        return _issued(given, str(names[0].value), public)

    def vouches(self, pem: bytes, hosts: Sequence[str], now: datetime) -> bool:
        """Tell whether a certificate is ours, is for just these hosts, and need not be replaced yet."""
        try:
            given = x509.load_pem_x509_certificate(pem)
            given.verify_directly_issued_by(self._certificate)
            named = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            named = x509.SubjectAlternativeName([])
        except (ValueError, TypeError, InvalidSignature):
            return False
        begins, ends = given.not_valid_before_utc, given.not_valid_after_utc
        return set(named) == {_host(one) for one in hosts} and now < begins + (ends - begins) * RENEW_AT

    def _sign(
        self,
        name: str,
        public: ec.EllipticCurvePublicKey,
        life: tuple[datetime, timedelta],
        use: x509.ObjectIdentifier,
        hosts: Sequence[str] = (),
    ) -> Issued:
        now, lasts = life
        until = min(now + lasts, self._certificate.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = (
            _builder(subject, self._certificate.subject, public, (now - SLACK, until))
            .serial_number(x509.random_serial_number())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(_issuer_key(self._certificate), critical=False)
        )
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
        return _issued(built.sign(self._private, hashes.SHA256()), name, public)


def read_request(pem: str) -> Request | None:
    """Return the key of a certificate request whose signature proves it; None: it is none, or of another kind."""
    try:
        given = x509.load_pem_x509_csr(pem.encode())
        public, proven = given.public_key(), given.is_signature_valid
    except (ValueError, TypeError):
        return None
    if not proven or not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, _CURVE):
        return None
    return Request(public, _fingerprint(public))


def private_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key in PEM, without a password."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private.private_bytes(encoding, form, serialization.NoEncryption())


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Return what a key is for: to sign what it says, or certificates and lists."""
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=not signs,
        crl_sign=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _fingerprint(public: ec.EllipticCurvePublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    hashed = hashes.Hash(hashes.SHA256())
    hashed.update(public.public_bytes(serialization.Encoding.DER, form))
    return hashed.finalize().hex()


def _issued(made: x509.Certificate, name: str, public: ec.EllipticCurvePublicKey) -> Issued:
    begins, ends = made.not_valid_before_utc + SLACK, made.not_valid_after_utc
    renew_after = begins + (ends - begins) * RENEW_AT
    pem = made.public_bytes(serialization.Encoding.PEM)
    return Issued(name, made.serial_number, pem, renew_after, ends.astimezone(UTC), _fingerprint(public))
