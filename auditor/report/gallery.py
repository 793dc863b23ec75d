"""Blurred pictures of what attacks rebuilt: only in the restricted folder, only with a named approver and a reason.

Originals are never shown. Each picture is cut down to a few cells before it is enlarged, so that what was taken away
cannot be brought back by sharpening. Nothing is encrypted: the folder is one that only its owner may open.
"""

import base64
import io
import json
import os
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from auditor.core.errors import AuditorError
from auditor.policy.signed import SHORTEST_REASON
from auditor.report.strings import strings
from auditor.store.atomic import write_atomic

FILE = "gallery.html"
MOST_CELLS = 8
SHOWN = 12
SIZE = 128
OTHERS = 0o077
"""Rights of the group and of everybody."""


def write_gallery(run_dir: Path, *, approver: str, reason: str) -> Path:
    """Write ``restricted/gallery.html`` and who approved it, as ``restricted/gallery.json``.

    Raises:
        AuditorError: without a name or a reason, where others may open the folder, or where no attack rebuilt pictures.
    """
    if not approver.strip() or len(reason.strip()) < SHORTEST_REASON:
        raise AuditorError(
            "A gallery of reconstructions needs a named approver and a reason.",
            remedy=f"Give --approver and --reason; a reason has at least {SHORTEST_REASON} characters.",
        )
    folder = run_dir / "restricted"
    rows = [(path.stem, pictures) for path in sorted(folder.glob("**/*.npz")) if (pictures := list(_pictures(path)))]
    if not rows:
        raise AuditorError(
            f"{folder} holds no rebuilt pictures.", remedy="Only runs whose attacks rebuilt images have a gallery."
        )
    _require_private(folder)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    value = {"approver": approver.strip(), "reason": reason.strip(), "at": at, "pictures": sum(len(p) for _, p in rows)}
    write_atomic(folder / "gallery.json", (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomic(folder / FILE, _page(rows, value).encode("utf-8"))
    return folder / FILE


def _require_private(folder: Path) -> None:
    """Refuse a folder that others than its owner may open.

    Raises:
        AuditorError: with the command that closes it.
    """
    if os.name == "posix" and folder.is_dir() and folder.stat().st_mode & OTHERS:
        raise AuditorError(
            f"{folder} can be opened by others than its owner, and the gallery is not encrypted.",
            remedy=f"Close it first: chmod 700 {shlex.quote(str(folder))}",
        )


def blurred(image: NDArray[Any]) -> NDArray[np.uint8]:
    """A picture ``(channels, height, width)`` as a few grey cells, ``(cells, cells)``, scaled to 0-255.

    A quarter of the shorter side, two to eight cells: the coarse light and dark of a picture, no shape of a face.
    """
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64)).mean(axis=0)
    cells = int(np.clip(min(grey.shape) // 4, 2, MOST_CELLS))
    parts = [np.array_split(rows, cells, axis=1) for rows in np.array_split(grey, cells, axis=0)]
    means = np.array([[part.mean() for part in row] for row in parts])
    span = means.max() - means.min()
    scaled = (means - means.min()) / span if span > 0 else np.zeros_like(means)
    return np.asarray(np.round(scaled * 255), dtype=np.uint8)


def _pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The first pictures of one attack; nothing where it rebuilt no pictures."""
    left = SHOWN
    with np.load(path, allow_pickle=False) as stored:
        for name in stored.files:
            array = stored[name]
            if array.ndim != 4 or array.shape[1] not in (1, 3) or min(array.shape[2:]) < 4:
                continue
            yield from (blurred(image) for image in array[:left])
            left = max(0, left - len(array))


def _page(rows: list[tuple[str, list[NDArray[np.uint8]]]], value: dict[str, Any]) -> str:
    words = strings()
    approved = words.html("gallery.approved", person=value["approver"], date=value["at"][:10])
    parts = [
        Markup('<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{}</title>').format(
            words.plain("gallery.title")
        ),
        Markup("<style>body{{font:16px/1.5 sans-serif;margin:2rem}}img{{margin:0 .5rem .5rem 0}}</style>").format(),
        Markup("<h1>{}</h1><p><strong>{}</strong></p>").format(
            words.plain("gallery.title"), words.plain("gallery.lead")
        ),
        Markup("<p>{} <q>{}</q></p>").format(approved, value["reason"]),
    ]
    for name, pictures in rows:
        parts.append(Markup("<h2>{}</h2><p>").format(name))
        parts += [_image(picture, words.plain("gallery.alt")) for picture in pictures]
        parts.append(Markup("</p>"))
    return str(Markup("\n").join(parts))


def _image(picture: NDArray[np.uint8], alt: str) -> Markup:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    return Markup('<img width="{0}" height="{0}" alt="{1}" src="data:image/png;base64,{2}">').format(SIZE, alt, data)
