"""A person's key, and a service that stamps the time: used by one command, and never kept."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from auditor.core.errors import AuditorError

PATIENCE = 20
"""Seconds to wait for a time-stamp service."""


def require_pyhanko() -> None:
    """Say what to install where the signing library is missing.

    Raises:
        AuditorError: naming the extra.
    """
    from importlib.util import find_spec

    if find_spec("pyhanko") is None or find_spec("uharfbuzz") is None:
        raise AuditorError(
            "Signing needs pyHanko, which is not installed.", remedy="pip install 'fl-privacy-auditor[sign]'"
        )


class Key:
    """A person's key and certificate, for as long as one command runs."""

    def __init__(self, path: Path, passphrase: bytes | None) -> None:
        """Read a PKCS#12 file.

        Raises:
            AuditorError: where it cannot be read, the passphrase is wrong, or it holds no key with a certificate.
        """
        require_pyhanko()
        from pyhanko.sign.signers import SimpleSigner

        try:
            data = path.read_bytes()
        except OSError as error:
            raise AuditorError(f"{path} cannot be read: {error.strerror}.", remedy="Check --key.") from None
        try:
            self.signer = SimpleSigner.load_pkcs12_data(data, other_certs=[], passphrase=passphrase)
        except (ValueError, TypeError, AttributeError):
            raise AuditorError(
                f"{path.name} cannot be opened as PKCS#12: another passphrase, or no key with its certificate inside.",
                remedy="Check the passphrase; the file ends in .p12 or .pfx as a rule.",
            ) from None

    @property
    def certificate(self) -> Any:
        return self.signer.signing_cert

    @property
    def sha256(self) -> str:
        """Of the certificate (DER)."""
        return hashlib.sha256(self.certificate.dump()).hexdigest()

    def require_valid(self, at: datetime) -> None:
        """Refuse a certificate that is not valid now.

        Raises:
            AuditorError: with its dates.
        """
        start, end = self.certificate.not_valid_before, self.certificate.not_valid_after
        if not start <= at <= end:
            raise AuditorError(
                f"The certificate of {self.certificate.subject.human_friendly} is valid from {start:%Y-%m-%d} to "
                f"{end:%Y-%m-%d}, not today.",
                remedy="Sign with a certificate that is valid now.",
            )


def time_stamper(url: str) -> Any:
    """A client of a time-stamp service (RFC 3161 over HTTP); it is sent a hash and nothing else.

    Raises:
        AuditorError: for something that is no address of one.
    """
    require_pyhanko()
    from pyhanko.sign.timestamps.requests_client import RequestsHTTPTimeStamper

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AuditorError(
            f"--timestamp: {url!r} is no address of a time-stamp service.",
            remedy="Write it as https://service.example/tsa.",
        )
    return RequestsHTTPTimeStamper(url, timeout=PATIENCE)


@contextmanager
def stamping(timestamper: Any) -> Iterator[None]:
    """Say in one sentence what went wrong with the time-stamp service; nothing was signed then.

    Raises:
        AuditorError: where it cannot be reached, refused, or answered with something else.
    """
    if timestamper is None:
        yield
        return
    from pyhanko.sign.timestamps import TimestampRequestError

    try:
        yield
    except (TimestampRequestError, ValueError) as error:
        cause = error.__cause__ or error
        raise AuditorError(
            f"The time-stamp service {getattr(timestamper, 'url', '')} gave no time stamp: "
            f"{' '.join(str(cause.args[0] if cause.args else cause).split())[:200]}".rstrip(".")
            + ".",
            remedy="Check --timestamp, or sign without it; nothing was signed.",
        ) from None
