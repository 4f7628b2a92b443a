"""Lets simulated boxes join the fleet by one-time tokens, each with a key of its own, as a real agent does."""

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeagent.enrolment import (
    AUTHORITY_PATH,
    ENROL_PATH,
    Admission,
    Enrol,
    EnrolmentError,
    Invitation,
    read_admission,
    read_token,
)
from simulator.progress import ClusterError, Report, Step
from simulator.starting import write_secret

AT_ONCE: Final = 4
PATIENCE: Final = 30.0


def join_all(tokens: Mapping[str, str], folder: Path, report: Report) -> dict[str, ssl.SSLContext]:
    """Let boxes join, by name; returns with what each comes to the broker. Raises ClusterError."""
    if not tokens:
        return {}
    folder.mkdir(mode=0o700)
    try:
        invitation = read_token(next(iter(tokens.values())))
        trusted = ssl.create_default_context(cadata=authority(invitation))
        address = f"https://{invitation.host}:{invitation.port}"
        contexts: dict[str, ssl.SSLContext] = {}
        with (
            httpx.Client(base_url=address, verify=trusted, timeout=PATIENCE, trust_env=False) as server,
            ThreadPoolExecutor(AT_ONCE, "join") as pool,
        ):
            joined = {box: pool.submit(join, server, token, folder / box) for box, token in tokens.items()}
            for number, (box, one) in enumerate(joined.items(), 1):
                contexts[box] = one.result()
                report(Step("simulated boxes that join", number, len(joined)))
    except (httpx.HTTPError, EnrolmentError) as lost:
        raise ClusterError(f"a simulated box cannot join: {lost}") from lost
    return contexts


def authority(invitation: Invitation) -> str:
    """Return the certificate of the fleet's authority, which the token vouches for. Raises EnrolmentError."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # nothing secret is said, and the hash decides
    address = f"https://{invitation.host}:{invitation.port}{AUTHORITY_PATH}"
    pem = httpx.get(address, verify=anyone, timeout=PATIENCE, trust_env=False).raise_for_status().text
    found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    if not hmac.compare_digest(found, invitation.fingerprint):
        raise EnrolmentError(f"who answers at {address} is not the fleet that made the token")
    return pem


def join(server: httpx.Client, token: str, files: Path) -> ssl.SSLContext:
    """Turn a token into a certificate. Raises EnrolmentError, httpx.HTTPError."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    asked = Enrol(read_token(token).secret, request.public_bytes(serialization.Encoding.PEM).decode())
    admission = read_admission(server.post(ENROL_PATH, content=msgspec.json.encode(asked)).raise_for_status().content)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return context(admission, pem, files)


def context(admission: Admission, key: str, files: Path) -> ssl.SSLContext:
    """Return what a box comes with; the library takes certificate and key from a file only."""
    made = ssl.create_default_context(cadata=admission.authority)
    write_secret(files, key + admission.certificate)
    made.load_cert_chain(files)
    files.unlink()
    return made
