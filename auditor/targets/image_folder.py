"""A folder of images: one sub-folder a class, and above it one a split where there are splits."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from auditor.core.errors import TargetError
from auditor.targets.fields import Fields

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


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


def _visible(file: Path, folder: Path) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(folder).parts)


def _pictures(files: list[Path], folder: Path, where: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    opened = [_picture(file, folder, where) for file in files]
    grey = all(picture.mode in ("1", "L", "I;16", "I", "F") for picture in opened)
    first = opened[0].size
    for file, picture in zip(files, opened, strict=True):
        if picture.size != first:
            raise TargetError(
                f"{where}: {file.relative_to(folder)} is {_size(picture.size)}, but {files[0].relative_to(folder)} is "
                f"{_size(first)}.",
                remedy="Bring all images to the size that the model expects.",
            )
    return np.stack([np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8) for picture in opened])


def _picture(file: Path, folder: Path, where: str) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture.copy()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise TargetError(
            f"{where}: {file.relative_to(folder)} is damaged or no image.", remedy="Remove or replace it."
        ) from None


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
