"""Signatures hold while nothing changes, and every alteration is named."""

import datetime
import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.core.errors import AuditorError
from auditor.report.keys import Key, time_stamper
from auditor.report.pdf_signing import sign_pdf
from auditor.report.render import render
from auditor.report.signatures import load_trusted
from auditor.report.signing import prepare, sign_run, signed_files
from auditor.report.signoff import Decision, SignOff
from auditor.report.verify import verify
from tests.report.example_results import EXAMPLES

PASSPHRASE = b"correct horse"
DPO = SignOff("dpo", "Åsa Wärn", remark="The risk to patients is bearable for a year.")
ASSESSOR = SignOff("assessor", "A. Assessor")
CONTROLLER = SignOff("controller", "C. Trust", Decision.CONDITIONS, "Only behind the hospital login.")


class Authority(NamedTuple):
    """Somebody who issues certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def authority(common: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(key, certificate(common, key, None))


def certificate(
    common: str, key: ec.EllipticCurvePrivateKey, issuer: Authority | None, *, days: int = 30
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer.certificate.subject if issuer else name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def key_file(folder: Path, common: str, issuer: Authority, *, days: int = 30) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    made = pkcs12.serialize_key_and_certificates(
        b"me",
        key,
        certificate(common, key, issuer, days=days),
        [issuer.certificate],
        BestAvailableEncryption(PASSPHRASE),
    )
    path = folder / f"{common}.p12"
    path.write_bytes(made)
    return path


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return authority("Test Trust Service")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, issuer: Authority) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {role: Key(key_file(folder, role, issuer), PASSPHRASE) for role in ("assessor", "dpo", "controller")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = EXAMPLES["private"]().write(tmp_path_factory.mktemp("plain"))
    render(folder, ["html", "pdf"])
    return folder


@pytest.fixture(scope="module")
def signed_once(plain: Path, keys: dict[str, Key], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed by three people in turn; tests work on copies."""
    folder = tmp_path_factory.mktemp("signed") / "run"
    shutil.copytree(plain, folder)
    for signoff in (ASSESSOR, DPO, CONTROLLER):
        sign_run(folder, signoff, keys[signoff.role])
    return folder


@pytest.fixture
def run(signed_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(signed_once, tmp_path / "run")
    return tmp_path / "run"


def found(run: Path, **options: object) -> dict[str, str]:
    return {check.name: " | ".join(check.differs) for check in verify(run, full=False, **options) if check.differs}


def anchor(issuer: Authority, folder: Path) -> list[object]:
    path = folder / "ca.pem"
    path.write_bytes(issuer.certificate.public_bytes(Encoding.PEM))
    return load_trusted([path])


def test_all_three_remain_valid(run: Path, issuer: Authority) -> None:
    checks = {check.name: check for check in verify(run, full=True, trusted=anchor(issuer, run.parent))}
    assert all(not check.differs for check in checks.values()), checks
    for field in ("Assessor", "DPO", "Controller"):
        assert "trusted signer" in checks[f"signature of report.pdf in the field {field}"].note
    for role in ("assessor", "dpo", "controller"):
        assert checks[f"sign-off of the {role}"].holds
    assert checks["release/report.pdf is what these results give"].holds


def test_edited_results_are_told_before_anything_is_called_the_same(run: Path) -> None:
    name = "results.json is the one that was signed"
    assert name in [check.name for check in verify(run, full=False)][:3]
    assert name not in found(run)
    path = run / "results.json"
    path.write_text(path.read_text().replace('"seed": ', '"seed": 1', 1))
    assert "results.json was altered after the assessor signed: SHA-256 " in found(run)[name]


def test_a_lost_statement_is_told_while_the_pdf_is_signed(run: Path) -> None:
    for file in (run / "release").glob("signoff.dpo.*"):
        file.unlink()
    skipped = {check.name: check.skipped for check in verify(run, full=False) if check.skipped}
    assert "the statement on results.json was lost" in skipped["sign-off of the dpo"]
    assert "sign-off of the assessor" not in skipped


def test_without_anchors_the_signer_is_left_open(run: Path) -> None:
    notes = [check.note for check in verify(run, full=False) if "sign-off" in check.name]
    assert len(notes) == 3
    assert all("not checked against a trusted list" in note for note in notes)


def test_another_anchor_names_the_signer_as_unknown(run: Path) -> None:
    differs = found(run, trusted=anchor(authority("Somebody else"), run.parent))
    assert len(differs) == 6
    assert all("unknown signer" in text for text in differs.values())


def test_the_signed_pdf_is_whole(run: Path, plain: Path) -> None:
    data = (run / "release" / "report.pdf").read_bytes()
    before = (plain / "release" / "report.pdf").read_bytes()
    assert data.startswith(before)
    with pikepdf.open(io.BytesIO(data)) as pdf, pikepdf.open(io.BytesIO(before)) as old:
        assert pdf.check_pdf_syntax() == []
        assert "/Version" not in pdf.Root
        assert pdf.Root.Metadata.read_bytes() == old.Root.Metadata.read_bytes()
        numbers = pdf.Root.StructTreeRoot.ParentTree.Nums
        parents = dict(zip(map(int, list(numbers)[::2]), list(numbers)[1::2], strict=True))
        assert len(pdf.Root.AcroForm.Fields) == 3
        for field in pdf.Root.AcroForm.Fields:
            assert field.F & 4, "PDF/A: printed"
            element = parents[int(field.StructParent)]
            assert (element.S, element.K.Obj.objgen) == ("/Form", field.objgen)
            assert str(field.TU).startswith("Signature of the role")
        fonts = [o for o in pdf.objects if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/FontDescriptor"]
        assert len(fonts) > 3
        assert all("/FontFile2" in o or "/FontFile3" in o for o in fonts)


def test_the_statement_says_what_was_signed(run: Path) -> None:
    value = json.loads((run / "release" / "signoff.controller.json").read_text())
    assert value["decision"] == "approve-with-conditions"
    assert "approved with conditions" in value["says"]
    assert "“Only behind the hospital login.”" in value["says"]
    assert "no residual risk was measured" in value["risk"]
    assert {subject["name"].split()[0] for subject in value["subjects"]} == {"results.json", "release/report.html"}


def test_altered_results_are_named(run: Path) -> None:
    path = run / "results.json"
    path.write_text(path.read_text().replace('"ward-risk"', '"ward-safety"', 1))
    differs = found(run)
    assert "results.json (canonical JSON, RFC 8785) was altered after signing" in differs["sign-off of the dpo"]
    assert differs["release/report.pdf carries these results"]


def test_layout_of_results_is_not_signed(run: Path) -> None:
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert "sign-off of the dpo" not in found(run)


def test_an_altered_page_is_named(run: Path) -> None:
    (run / "release" / "report.html").write_text("<p>another</p>")
    assert "release/report.html was altered after signing" in found(run)["sign-off of the assessor"]


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_altered_pdf_bytes_are_named(place: float, run: Path) -> None:
    path = run / "release" / "report.pdf"
    data = bytearray(path.read_bytes())
    end = data.index(b"/ByteRange")
    data[int(place * end)] ^= 1
    path.write_bytes(bytes(data))
    differs = found(run)
    assert any("altered after signing" in text or "cannot be read" in text for text in differs.values()), differs


def test_an_appended_change_of_a_page_is_named(run: Path) -> None:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    path = run / "release" / "report.pdf"
    writer = IncrementalPdfFileWriter(io.BytesIO(path.read_bytes()))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/MediaBox"] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 10, 10)))
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    path.write_bytes(out.getvalue())
    text = found(run)["report.pdf was not changed beside its signatures"]
    assert "appended without a signature" in text
    assert "/MediaBox" in text


def test_a_change_that_comes_with_a_signature_is_named(plain: Path, keys: dict[str, Key]) -> None:
    """The signature of somebody who alters the page while signing is intact; the page is not."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

    from auditor.report.fields import repeatable_writer
    from auditor.report.pdf_signatures import changes_beside

    at = datetime.datetime.now(datetime.UTC)
    once = sign_pdf((plain / "release" / "report.pdf").read_bytes(), ASSESSOR, keys["assessor"], at=at)
    writer = repeatable_writer(once)
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Rotate"] = generic.NumberObject(180)
    writer.update_container(page)
    out = io.BytesIO()
    PdfSigner(PdfSignatureMetadata(field_name="DPO", md_algorithm="sha256"), keys["dpo"].signer).sign_pdf(
        writer, output=out
    )
    reader = PdfFileReader(out)
    signed = {signature.signed_revision for signature in reader.embedded_signatures}
    assert any("/Rotate" in text for text in changes_beside(reader, signed))


def test_an_altered_statement_is_named(run: Path) -> None:
    path = run / "release" / "signoff.dpo.json"
    path.write_bytes(path.read_bytes().replace(b"bearable", b"terrible"))
    assert found(run) == {"sign-off of the dpo": "the statement was altered after signing"}


def test_an_altered_signature_is_named(run: Path) -> None:
    path = run / "release" / "signoff.dpo.p7s"
    data = bytearray(path.read_bytes())
    data[-5] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "does not fit the key" in found(run)["sign-off of the dpo"]
    path.write_bytes(b"no signature")
    assert "cannot be read" in found(run)["sign-off of the dpo"]
    path.unlink()
    assert found(run)["sign-off of the dpo"] == "signoff.dpo.p7s is missing"


def test_a_signature_by_another_key_is_named(run: Path, keys: dict[str, Key]) -> None:
    from auditor.report.signing import _cms

    statement = (run / "release" / "signoff.dpo.json").read_bytes()
    (run / "release" / "signoff.dpo.p7s").write_bytes(_cms(statement, keys["assessor"], None))
    assert "signed by another key (Common Name: assessor)" in found(run)["sign-off of the dpo"]


def test_a_statement_of_another_role_is_named(run: Path) -> None:
    for ending in ("json", "p7s"):
        shutil.copy(run / "release" / f"signoff.assessor.{ending}", run / "release" / f"signoff.dpo.{ending}")
    assert found(run)["sign-off of the dpo"] == "the statement is for the role assessor"


def test_each_role_signs_once(run: Path, keys: dict[str, Key]) -> None:
    with pytest.raises(AuditorError, match="there already"):
        sign_run(run, DPO, keys["dpo"])
    with pytest.raises(AuditorError, match="not signed"):
        sign_run(run, DPO, keys["dpo"], detached=False)


def test_a_signed_report_is_not_written_over(run: Path) -> None:
    with pytest.raises(AuditorError, match="is signed") as error:
        render(run, ["html"])
    assert "--discard-signatures" in error.value.remedy
    render(run, ["html"], discard=True)
    assert signed_files(run) == []


@pytest.mark.parametrize(
    ("signoff", "why"),
    [
        (SignOff("dpo", "D"), "opinion is missing"),
        (SignOff("controller", "C"), "decision"),
        (SignOff("assessor", "A", Decision.APPROVE), "decision"),
        (SignOff("controller", "C", Decision.CONDITIONS), "conditions are missing"),
        (SignOff("assessor", " "), "name"),
        (SignOff("king", "K"), "no role"),
    ],
)
def test_what_is_said_must_be_complete(signoff: SignOff, why: str, plain: Path, keys: dict[str, Key]) -> None:
    with pytest.raises(AuditorError, match=why):
        sign_run(plain, signoff, keys["dpo"])
    assert signed_files(plain) == []


def test_keys_that_cannot_be_used(tmp_path: Path, issuer: Authority, plain: Path) -> None:
    path = key_file(tmp_path, "old", issuer, days=-1)
    with pytest.raises(AuditorError, match="passphrase") as error:
        Key(path, b"wrong secret")
    assert "wrong secret" not in str(error.value)
    with pytest.raises(AuditorError, match="cannot be read"):
        Key(tmp_path / "none.p12", None)
    with pytest.raises(AuditorError, match="not today"):
        sign_run(plain, ASSESSOR, Key(path, PASSPHRASE))


def test_fields_can_be_prepared_for_other_programs(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "run")
    first = prepare(tmp_path / "run").read_bytes()
    assert prepare(tmp_path / "run").read_bytes() == first
    with pikepdf.open(io.BytesIO(first)) as pdf:
        assert [str(field.T) for field in pdf.Root.AcroForm.Fields] == ["Assessor", "DPO", "Controller"]
    assert found(tmp_path / "run") == {}


def test_the_command_signs_and_the_other_verifies(
    plain: Path, tmp_path: Path, issuer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(plain, run)
    path = key_file(tmp_path, "Ada", issuer)
    (tmp_path / "ca.pem").write_bytes(issuer.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("AUDITOR_PASSPHRASE", PASSPHRASE.decode())
    said = ["sign", str(run), "--as", "assessor", "--name", "Ada", "--key", str(path)]
    answer = CliRunner().invoke(app, said)
    assert answer.exit_code == 0, answer.output
    assert "results.json (canonical JSON, RFC 8785), SHA-256" in answer.output
    assert PASSPHRASE.decode() not in answer.output
    files = {p.name for p in run.rglob("*") if p.is_file()} - {p.name for p in plain.rglob("*")}
    assert files == {"signoff.assessor.json", "signoff.assessor.p7s"}
    checked = CliRunner().invoke(app, ["verify", str(run), "--quick", "--trust", str(tmp_path / "ca.pem")])
    assert checked.exit_code == 0, checked.output
    assert "same     sign-off of the assessor: intact, by a trusted signer, Common Name: Ada" in checked.output
    (run / "release" / "report.html").write_text("another")
    refused = CliRunner().invoke(app, [*said[:2], "--as", "dpo", "--remark", "x", *said[4:]])
    assert isinstance(refused.exception, AuditorError)
    assert "Not signed" in str(refused.exception)


@pytest.fixture(scope="module")
def stamp_service(issuer: Authority) -> Iterator[str]:
    """A time-stamp service (RFC 3161) on this machine, and a page beside it that is none."""
    import asyncio

    from asn1crypto import keys as asn1_keys
    from asn1crypto import tsp
    from asn1crypto import x509 as asn1_x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat
    from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

    key = rsa.generate_private_key(65537, 2048)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Test Time Stamps"))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    )
    made = builder.sign(issuer.key, hashes.SHA256())
    stamper = DummyTimeStamper(
        asn1_x509.Certificate.load(made.public_bytes(Encoding.DER)),
        asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        fixed_dt=STAMPED,
    )

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            good = self.path == "/tsa"
            answer = asyncio.run(stamper.async_request_tsa_response(asked)).dump() if good else b"<p>busy</p>"
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply" if good else "text/html")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


STAMPED = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - datetime.timedelta(hours=3)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.usefixtures("no_proxy")
def test_a_time_stamp_service_states_when(
    plain: Path, tmp_path: Path, keys: dict[str, Key], issuer: Authority, stamp_service: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(plain, run)
    sign_run(run, ASSESSOR, keys["assessor"], timestamper=time_stamper(f"{stamp_service}/tsa"))
    when = f"{STAMPED:%Y-%m-%d %H:%M} UTC by the time stamp of Common Name: Test Time Stamps"
    known = {check.name: check for check in verify(run, full=False, trusted=anchor(issuer, tmp_path))}
    signatures = [check for name, check in known.items() if "sign-off of" in name or "in the field" in name]
    assert len(signatures) == 2
    assert all(check.holds and check.note.endswith(when) for check in signatures), signatures
    open_ = [check for check in verify(run, full=False) if "sign-off of" in check.name]
    assert open_[0].note.endswith(f"{when} (that service was not checked, or is not trusted)")


@pytest.mark.usefixtures("no_proxy")
def test_a_foreign_time_stamp_is_named(plain: Path, tmp_path: Path, keys: dict[str, Key], stamp_service: str) -> None:
    """The time stamp of one signature, put to another, does not fit."""
    from asn1crypto import cms

    run = tmp_path / "run"
    shutil.copytree(plain, run)
    stamper = time_stamper(f"{stamp_service}/tsa")
    for signoff in (ASSESSOR, DPO):
        sign_run(run, signoff, keys[signoff.role], pdf=False, timestamper=stamper)
    files = {role: run / "release" / f"signoff.{role}.p7s" for role in ("assessor", "dpo")}
    signed = {role: cms.ContentInfo.load(path.read_bytes()) for role, path in files.items()}
    infos = {role: value["content"]["signer_infos"][0] for role, value in signed.items()}
    infos["dpo"]["unsigned_attrs"] = infos["assessor"]["unsigned_attrs"].copy()
    files["dpo"].write_bytes(signed["dpo"].dump(force=True))
    assert "time stamp" in found(run)["sign-off of the dpo"]


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize(("place", "why"), [("/page", "malformed"), ("", "")])
def test_a_service_that_gives_no_time_stamp_leaves_nothing_signed(
    place: str, why: str, plain: Path, keys: dict[str, Key], stamp_service: str
) -> None:
    url = f"{stamp_service}{place}" if place else "http://127.0.0.1:1/tsa"
    with pytest.raises(AuditorError, match=f"gave no time stamp: .*{why}") as error:
        sign_run(plain, ASSESSOR, keys["assessor"], timestamper=time_stamper(url))
    assert "nothing was signed" in error.value.remedy
    assert signed_files(plain) == []


@pytest.mark.parametrize("url", ["tsa.example", "ftp://tsa.example", "http://", "file:///etc/passwd"])
def test_an_address_of_no_service_is_refused_at_once(url: str) -> None:
    with pytest.raises(AuditorError, match="no address of a time-stamp service"):
        time_stamper(url)
