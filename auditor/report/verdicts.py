"""What a signature is worth: intact or altered, by whom, and when."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

UNTRUSTED = "intact; the signer was not checked against a trusted list (--trust CERT)"


class Verdict(NamedTuple):
    """What a signature is worth: what is wrong with it, and who made it when."""

    differs: tuple[str, ...]
    signer: str
    at: str
    certificate_sha256: str = ""


def verdict_of(status: Any, trusted: Sequence[Any] | None, *, altered: str) -> Verdict:
    """The verdict from what pyHanko found; ``altered`` says what was changed where it was."""
    certificate = status.signing_cert
    signer = certificate.subject.human_friendly
    differs = []
    if not status.intact:
        differs.append(altered)
    elif not status.valid:
        differs.append("the signature does not fit the key of its certificate")
    elif trusted is not None and not status.trusted:
        end = certificate.not_valid_after
        past = f", and expired on {end:%Y-%m-%d}" if end < datetime.now(UTC) else ""
        differs.append(f"unknown signer: {signer} does not lead back to a certificate given with --trust{past}")
    when = getattr(status, "signer_reported_dt", None)
    at = f"{when:%Y-%m-%d %H:%M} UTC by the signer's clock" if when else ""
    stamp = getattr(status, "timestamp_validity", None)
    if stamp is not None and not (stamp.intact and stamp.valid):
        differs.append("the time stamp does not fit the signature, or was altered")
    elif stamp is not None:
        at = f"{stamp.timestamp.astimezone(UTC):%Y-%m-%d %H:%M} UTC by the time stamp of {_service(stamp)}"
    return Verdict(tuple(differs), signer, at, hashlib.sha256(certificate.dump()).hexdigest())


def _service(stamp: Any) -> str:
    """Who stamped the time, and whether that is somebody known."""
    name = stamp.signing_cert.subject.human_friendly
    return str(name) if stamp.trusted else f"{name} (that service was not checked, or is not trusted)"


def note_of(verdict: Verdict, trusted: Sequence[Any] | None) -> str:
    """What to know of a signature that holds: whether its signer is known, who, and when."""
    worth = UNTRUSTED if trusted is None else "intact, by a trusted signer"
    return ", ".join(part for part in (worth, verdict.signer, verdict.at) if part)


def context(trusted: Sequence[Any] | None) -> Any:
    """Nothing is fetched, and no certificate of the machine counts."""
    from pyhanko_certvalidator import ValidationContext

    return ValidationContext(trust_roots=list(trusted or ()), allow_fetching=False)


def usage(certificate: Any) -> Any:
    """Uses that a person's certificate must allow: one of these, where it names any (RFC 5280, 4.2.1.3)."""
    from pyhanko.sign.validation.settings import KeyUsageConstraints

    if certificate is None or certificate.key_usage_value is None:
        return KeyUsageConstraints(key_usage=set())
    return KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the library's tracebacks about signers that lead to no trusted certificate; the verdict says it."""
    loggers = [logging.getLogger(name) for name in ("pyhanko", "pyhanko_certvalidator")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
