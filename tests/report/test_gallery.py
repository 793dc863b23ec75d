"""Blurred reconstructions stay in the restricted folder, and need a name and a reason."""

import io
import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.core.errors import AuditorError
from auditor.report.gallery import blurred, write_gallery
from auditor.report.leakcheck import leaks

REASON = "The assessor must see whether the rebuilt pictures show people or noise."


@pytest.fixture
def rebuilt(run_dir: Path) -> Path:
    images = load_digits().images[:30, None] / 16.0
    np.savez(run_dir / "restricted" / "gradient-matching.npz", update_0=images[:10], update_1=images[10:])
    np.savez(run_dir / "restricted" / "table.npz", update_0=np.ones((4, 9)))
    (run_dir / "restricted").chmod(0o700)
    return run_dir


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_that_others_may_open_gets_no_gallery(mode: int, rebuilt: Path) -> None:
    (rebuilt / "restricted").chmod(mode)
    with pytest.raises(AuditorError, match="can be opened by others than its owner") as error:
        write_gallery(rebuilt, approver="D", reason=REASON)
    assert "chmod 700" in error.value.remedy
    assert not list((rebuilt / "restricted").glob("gallery.*"))


def test_the_gallery_is_blurred_signed_for_and_restricted(rebuilt: Path) -> None:
    before = set(rebuilt.rglob("*"))
    said = ["gallery", str(rebuilt), "--approver", "D. <b>Officer</b>", "--reason", REASON]
    answer = CliRunner().invoke(app, said)
    assert answer.exit_code == 0, answer.output
    new = {path.relative_to(rebuilt).as_posix() for path in rebuilt.rglob("*")} - {
        path.relative_to(rebuilt).as_posix() for path in before
    }
    assert new == {"restricted/gallery.html", "restricted/gallery.json"}
    text = (rebuilt / "restricted" / "gallery.html").read_text()
    assert "D. &lt;b&gt;Officer&lt;/b&gt;" in text
    assert REASON in text
    images = re.findall(r"base64,([^\"]+)", text)
    assert len(images) == 12
    shown = np.asarray(Image.open(io.BytesIO(b64decode(images[0]))), dtype=float)
    known = load_digits().images[:30]
    large = [np.kron(image, np.ones((16, 16))) for image in known]
    likeness = [np.corrcoef(shown.ravel(), image.ravel())[0, 1] for image in large]
    assert max(likeness) < 0.9, "a record can be told from its blurred picture"
    assert json.loads((rebuilt / "restricted" / "gallery.json").read_text())["approver"] == "D. <b>Officer</b>"


def test_it_cannot_be_released(rebuilt: Path) -> None:
    data = write_gallery(rebuilt, approver="D", reason=REASON).read_bytes()
    assert any(
        "raster image" in leak.what or "image of the data" in leak.what for leak in leaks({"a.html": data}, None)
    )


@pytest.mark.parametrize(("approver", "reason"), [("", REASON), (" ", REASON), ("D", "because")])
def test_nobody_approves_without_name_and_reason(approver: str, reason: str, rebuilt: Path) -> None:
    with pytest.raises(AuditorError, match="approver"):
        write_gallery(rebuilt, approver=approver, reason=reason)
    assert not (rebuilt / "restricted" / "gallery.html").exists()


def test_a_run_without_pictures_has_none(run_dir: Path) -> None:
    with pytest.raises(AuditorError, match="no rebuilt pictures"):
        write_gallery(run_dir, approver="D", reason=REASON)


@pytest.mark.parametrize(("shape", "cells"), [((1, 8, 8), 2), ((3, 32, 32), 8), ((3, 224, 180), 8), ((1, 12, 40), 3)])
def test_few_cells_are_left(shape: tuple[int, ...], cells: int) -> None:
    image = np.random.default_rng(1).random(shape)
    assert blurred(image).shape == (cells, cells)
    assert blurred(np.zeros(shape)).max() == 0
    assert blurred(np.full(shape, np.nan)).max() == 0
