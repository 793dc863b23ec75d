"""A folder of images: one sub-folder a class, and above it one a split where there are splits."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from auditor.core.errors import TargetError
from auditor.targets.fields import Fields, Values

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_NO_PICTURE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image_folder(folder: Path, where: str) -> Fields:
    """Read ``CLASS/image.png`` or ``SPLIT/CLASS/image.png``.

    Values: ``inputs`` (n, height, width[, 3]) uint8, ``labels`` (class names) and, where there is such a level,
    ``split``.

    Raises:
        TargetError: No images, no class folders, images of different sizes, or an image that cannot be read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and _visible(file, folder))
    if not files:
        raise TargetError(
            f"{where}: there are no images in {folder.name}/.",
            remedy="Put them into one sub-folder for each class: CLASS/picture.png, or SPLIT/CLASS/picture.png.",
        )
    parts = [file.relative_to(folder).parts[:-1] for file in files]
    depths = {len(part) for part in parts}
    if depths not in ({1}, {2}):
        raise TargetError(
            f"{where}: the images in {folder.name}/ do not lie in folders of one depth.",
            remedy="Use CLASS/picture.png, or SPLIT/CLASS/picture.png, for all of them.",
        )
    values = {"inputs": _pictures(files, folder, where), "labels": np.array([part[-1] for part in parts], dtype=object)}
    if depths == {2}:
        values["split"] = np.array([part[0] for part in parts], dtype=object)
    fact = f"{len(files):,} images read from {'split and ' if depths == {2} else ''}class folders"
    return Fields(f"{folder.name}/", values, facts=(fact,))


def decoded_pictures(entries: Values, where: str) -> Values:
    """Encoded pictures (bytes, or ``{"bytes": ...}`` as data-set hubs store them) as one uint8 array.

    Raises:
        TargetError: One is no picture, or they are of different sizes.
    """
    opened = []
    for number, entry in enumerate(entries):
        raw: Any = entry.get("bytes") if isinstance(entry, dict) else entry
        try:
            with Image.open(io.BytesIO(raw)) as picture:
                picture.load()
                opened.append(picture.copy())
        except (*_NO_PICTURE, TypeError):
            raise TargetError(
                f"{where}: record {number + 1} is no picture.", remedy="Give PNG or JPEG bytes."
            ) from None
    return _stacked(opened, [f"record {number + 1}" for number in range(len(opened))], where)


def _visible(file: Path, folder: Path) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(folder).parts)


def _pictures(files: list[Path], folder: Path, where: str) -> Values:
    opened = [_picture(file, folder, where) for file in files]
    return _stacked(opened, [str(file.relative_to(folder)) for file in files], where)


def _stacked(opened: list[Image.Image], names: list[str], where: str) -> Values:
    """One array: grey ``(n, height, width)`` where all pictures are grey, else colour ``(n, height, width, 3)``."""
    grey = all(picture.mode in ("1", "L", "I;16", "I", "F") for picture in opened)
    for name, picture in zip(names, opened, strict=True):
        if picture.size != opened[0].size:
            raise TargetError(
                f"{where}: {name} is {_size(picture.size)}, but {names[0]} is {_size(opened[0].size)}.",
                remedy="Bring all images to the size that the model expects.",
            )
    return np.stack([np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8) for picture in opened])


def _picture(file: Path, folder: Path, where: str) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture.copy()
    except _NO_PICTURE:
        raise TargetError(
            f"{where}: {file.relative_to(folder)} is damaged or no image.", remedy="Remove or replace it."
        ) from None


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
