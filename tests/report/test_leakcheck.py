"""Planted leaks are found, clean reports pass, and what cannot be checked is refused."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from auditor.core.errors import AuditorError
from auditor.report.leakcheck import leaks
from auditor.report.pdf import write_pdf
from auditor.report.render import UNCHECKED, render
from auditor.store.fingerprints import Fingerprints, difference_hash, fingerprints, nearest
from tests.report.example_results import EXAMPLES, Example

SALT = bytes(range(16))
TEXTS = [
    "The patient was admitted on a Tuesday with a persistent dry cough and slight fever.",
    "Anneliese Möller-Brandt",
]
NAMES = ["ward7/patient_00412.png", "MRN-5523188"]


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return load_breast_cancer().data


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load_digits().images


@pytest.fixture(scope="module")
def value(table: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    return fingerprints({"table": table, "images": images}, TEXTS, names=NAMES, salt=SALT)


@pytest.fixture(scope="module")
def known(value: dict[str, Any]) -> Fingerprints:
    return Fingerprints.from_json(json.loads(json.dumps(value)))


def picture(image: np.ndarray, size: int) -> bytes:
    """The record as a PNG, enlarged and slightly altered as a figure would."""
    grey = np.clip(image / 16 * 255, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).resize((size, size), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def found(files: dict[str, bytes], known: Fingerprints | None) -> str:
    return " | ".join(leak.what for leak in leaks(files, known))


@pytest.mark.parametrize("form", ["{:g}", "{:.2f}", "{:.4g}", "{:.6f}"])
@pytest.mark.parametrize("between", [", ", "</td><td>", "\n", " "])
def test_a_row_is_found(form: str, between: str, table: np.ndarray, known: Fingerprints) -> None:
    row = between.join(form.format(v) for v in table[17])
    assert "values of a record" in found({"a.html": f"<p>Results</p><table><tr><td>{row}</td></tr>".encode()}, known)


def test_half_a_row_is_found(table: np.ndarray, known: Fingerprints) -> None:
    assert "values of a record" in found({"a.txt": ", ".join(map(str, table[3][8:20])).encode()}, known)


def test_a_row_in_json_is_found(table: np.ndarray, known: Fingerprints) -> None:
    assert "values of a record" in found({"evidence.json": json.dumps({"x": table[200].tolist()}).encode()}, known)


def test_pixels_as_numbers_are_found(images: np.ndarray, known: Fingerprints) -> None:
    assert "values of a record" in found({"a.json": json.dumps(images[5].ravel().tolist()).encode()}, known)


@pytest.mark.parametrize("size", [8, 33, 256])
def test_an_image_is_found(size: int, images: np.ndarray, known: Fingerprints) -> None:
    data = picture(images[9], size)
    assert "shows an image of the data" in found({"a.png": data}, known)
    inline = f'<svg><image href="data:image/png;base64,{base64.b64encode(data).decode()}"/></svg>'
    assert "shows an image of the data" in found({"a.html": inline.encode()}, known)


def test_another_image_is_refused_without_being_called_a_record(known: Fingerprints) -> None:
    noise = np.random.default_rng(0).random((8, 8)) * 16
    assert found({"a.png": picture(noise, 64)}, known) == "it holds a raster image; the report draws none"


def test_words_are_found(known: Fingerprints) -> None:
    assert "words of a record" in found({"a.md": b"It says: admitted on a Tuesday with\na persistent cough"}, known)
    assert "words of a record" in found({"a.csv": "Nr;Anneliese Möller-Brandt;x".encode()}, known)


@pytest.mark.parametrize(
    "text", ["<p title='patient_00412'>x</p>", "<p id='MRN-5523188'>x</p>", "<!-- MRN-5523188 -->"]
)
def test_identifiers_are_found_where_nobody_looks(text: str, known: Fingerprints) -> None:
    assert "identifier of a record" in found({"a.html": text.encode()}, known)


def test_an_identifier_in_a_file_name_is_found(known: Fingerprints) -> None:
    assert "identifier of a record" in found({"patient_00412.txt": b"x"}, known)


def test_what_cannot_be_checked_is_refused(known: Fingerprints) -> None:
    assert "not a kind of file" in found({"a.npy": b"\x93NUMPY"}, known)
    assert "not UTF-8" in found({"a.txt": b"\xff\xfe\x00"}, known)
    assert "cannot be read" in found({"a.html": b'<img src="data:image/png;base64,AAAA">'}, known)


def test_a_figure_in_a_pdf_is_found(images: np.ndarray, known: Fingerprints) -> None:
    import weasyprint

    inline = base64.b64encode(picture(images[9], 64)).decode()
    data = weasyprint.HTML(string=f'<img src="data:image/png;base64,{inline}">').write_pdf()
    assert "raster image" in found({"a.pdf": bytes(data)}, known)


def test_an_identifier_in_pdf_metadata_is_found(known: Fingerprints) -> None:
    import weasyprint

    data = weasyprint.HTML(string="<title>MRN-5523188</title><p>x</p>").write_pdf()
    assert "identifier of a record" in found({"a.pdf": bytes(data)}, known)


def test_a_row_attached_to_a_pdf_is_found(table: np.ndarray, known: Fingerprints) -> None:
    import weasyprint

    attached = weasyprint.Attachment(string=json.dumps(table[4].tolist()), name="x.json")
    data = weasyprint.HTML(string="<p>x</p>").write_pdf(attachments=[attached])
    assert "values of a record" in found({"a.pdf": bytes(data)}, known)


@pytest.mark.parametrize("name", EXAMPLES)
def test_clean_pages_pass(name: str, page_of: Any, evidence_of: Any, known: Fingerprints) -> None:
    files = {"report.html": page_of(name).encode(), "evidence.json": evidence_of(name).raw}
    assert leaks(files, known) == []


def test_a_clean_pdf_passes(evidence_of: Any, known: Fingerprints) -> None:
    from auditor.report.html import page

    evidence = evidence_of("nothing")
    assert leaks({"report.pdf": write_pdf(page(evidence, printed=True), evidence)}, known) == []


def test_rendering_stops_at_a_leak_and_writes_nothing(tmp_path: Path, table: np.ndarray, value: dict[str, Any]) -> None:
    base = EXAMPLES["private"]()
    planted = "Attack output: " + ", ".join(f"{v:.3f}" for v in table[0])
    results = base.results.model_copy(update={"limits": (*base.results.limits, planted)})
    folder = Example(results, base.arrays).write(tmp_path)
    (folder / "restricted" / "fingerprints.json").write_text(json.dumps(value))
    with pytest.raises(AuditorError, match="consecutive values of a record") as error:
        render(folder, ["html"])
    assert f"{table[0][0]:.3f}" not in str(error.value)
    assert not (folder / "release").exists()


def test_a_damaged_fingerprint_file_stops_rendering(run_dir: Path) -> None:
    (run_dir / "restricted" / "fingerprints.json").write_text("{}")
    with pytest.raises(AuditorError, match=r"fingerprints\.json"):
        render(run_dir, ["html"])


def test_without_fingerprints_nothing_is_released(run_dir: Path) -> None:
    (run_dir / "restricted" / "fingerprints.json").unlink()
    with pytest.raises(AuditorError, match="could not compare with data") as error:
        render(run_dir, ["html"])
    assert "--without-data-check" in error.value.remedy
    assert not (run_dir / "release").exists()


def test_a_release_that_was_not_compared_says_so_until_it_is(run_dir: Path) -> None:
    path = run_dir / "restricted" / "fingerprints.json"
    kept = path.read_bytes()
    path.unlink()
    render(run_dir, ["card"], compare_with_data=False)
    assert "not compared" in (run_dir / "release" / UNCHECKED).read_text()
    path.write_bytes(kept)
    render(run_dir, ["card"])
    assert not (run_dir / "release" / UNCHECKED).exists()


def test_fingerprints_hold_no_data(table: np.ndarray, value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert str(table[0][0]) not in text
    assert "patient" not in text
    assert "Tuesday" not in text
    assert value["numbers"] != fingerprints({"t": table}, salt=bytes(16))["numbers"]


def test_difference_hash_survives_scaling_and_brightness(images: np.ndarray) -> None:
    large = np.kron(images[3], np.ones((7, 7)))
    assert bin(difference_hash(images[3]) ^ difference_hash(large)).count("1") <= 6
    assert difference_hash(large) == difference_hash(large * 0.5 + 3)
    assert nearest(difference_hash(images[3]), np.array([], dtype=np.uint64)) == 64


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        fingerprints({}, salt=b"x")
