"""Has the program ``openssl`` make the box's key, and requests that are signed with it.

On Debian and Ubuntu ``ca-certificates`` depends on it, so it is there wherever TLS is verified, also in slim images.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from edgeagent.enrolment import EnrolmentError

PATIENCE: Final = 60.0
"""Seconds; a small box that has just started may wait for its random numbers."""
_CONFIG: Final = b"[req]\ndistinguished_name=name\n[name]\n"  # enough for a request whose name nobody reads


def new_key() -> bytes:
    """Return a new key, in PEM. Raises EnrolmentError."""
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def request(key: Path) -> str:
    """Return a certificate request signed with a key, in PEM: it proves that we hold it. Raises EnrolmentError."""
    words = ("req", "-new", "-sha256", "-subj", "/CN=box", "-config", "/dev/stdin", "-key", str(key))
    return _openssl(*words, said=_CONFIG).decode()


def _openssl(*words: str, said: bytes = b"") -> bytes:
    program = shutil.which("openssl")
    if program is None:
        raise EnrolmentError("the program openssl is missing, which makes the key: `apt-get install openssl`")
    try:
        ended = subprocess.run([program, *words], input=said, capture_output=True, timeout=PATIENCE, check=True)  # noqa: S603 - our own words
    except (subprocess.SubprocessError, OSError) as failed:
        raise EnrolmentError(f"`openssl {words[0]}` failed ({type(failed).__name__}): try it by hand") from None
    return ended.stdout
