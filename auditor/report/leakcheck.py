"""Nothing of the user's data leaves with a report: every file of the release folder is compared with its fingerprints.

The check fails closed: a raster image (the report draws none), a file of an unknown kind or one that cannot be read
is refused as well.
"""

import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from auditor.core.errors import AuditorError, ExitCode, StoreError
from auditor.store.fingerprints import (
    NEAR,
    Fingerprints,
    difference_hash,
    name_hashes,
    nearest,
    run_hashes,
    word_hashes,
)

TEXT_ENDINGS = frozenset({".html", ".json", ".txt", ".md", ".csv", ".xml", ".svg", ".sarif", ".jsonl"})
RASTER = re.compile(rb"data:image/(?!svg\+xml)[\w.+-]+")
PDF_RASTER = re.compile(rb"/Subtype\s*/Image\b")
STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
NAME = re.compile(r"[^\s\"'<>,;|()\[\]{}]+")
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")


@dataclass(frozen=True)
class Leak:
    """What was found where. ``what`` never repeats the data."""

    file: str
    what: str


def read_fingerprints(run_dir: Path) -> Fingerprints | None:
    """The fingerprints of a run, or None where it has none.

    Raises:
        StoreError: for a damaged file.
    """
    path = run_dir / "restricted" / "fingerprints.json"
    if not path.is_file():
        return None
    try:
        return Fingerprints.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} cannot be read: {error}.", remedy="Run the audit again; the report is not written without it."
        ) from None


def require_fingerprints(run_dir: Path) -> Fingerprints:
    """The fingerprints of a run: without them nothing can be compared with the data, so nothing is released.

    Raises:
        StoreError: where the file is missing or damaged.
    """
    known = read_fingerprints(run_dir)
    if known is None:
        raise StoreError(
            f"{run_dir / 'restricted' / 'fingerprints.json'} is missing: the leak check could not compare with data.",
            remedy="Copy the folder restricted/ too, run the audit again in this folder, or render where the data "
            "never was with --without-data-check; the release then says so.",
        )
    return known


def leaks(files: Mapping[str, bytes], known: Fingerprints | None) -> list[Leak]:
    """Compare files, by name, with the fingerprints.

    Without fingerprints only images and kinds are checked; :func:`require_fingerprints` refuses that, unless asked.
    """
    return [leak for name, data in files.items() for leak in _file_leaks(name, data, known)]


def refuse_leaks(files: Mapping[str, bytes], known: Fingerprints | None) -> None:
    """Stop before anything is written that shows data.

    Raises:
        AuditorError: naming the first file and what kind of data it shows.
    """
    found = leaks(files, known)
    if found:
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise AuditorError(
            f"{found[0].file} was not written: {found[0].what}{more}.",
            remedy="Remove what the sentence names from the audit file or the attack's output, and render again.",
            exit_code=ExitCode.BUG,
        )


def _file_leaks(name: str, data: bytes, known: Fingerprints | None) -> Iterator[Leak]:
    ending = Path(name).suffix.lower()
    if known is not None:
        yield from (
            Leak(name, f"its name holds {what}") for what in _text_leaks(Path(name).stem, known, names_only=True)
        )
    if ending == ".pdf":
        yield from (Leak(name, what) for what in _pdf_leaks(data, known))
    elif data.startswith(SIGNATURES):
        yield Leak(name, _image_leak(data, known))
    elif ending in TEXT_ENDINGS:
        yield from (Leak(name, what) for what in _text_file_leaks(data, known))
    else:
        yield Leak(name, f"{ending or 'a file without an ending'} is not a kind of file that can be checked")


def _text_file_leaks(data: bytes, known: Fingerprints | None) -> Iterator[str]:
    for found in RASTER.finditer(data):
        yield _embedded(data, found.end(), known)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield "it is not UTF-8 text"
        return
    if known is not None:
        yield from _text_leaks(visible(text) if text.lstrip()[:1] == "<" else text, known)


def _embedded(data: bytes, start: int, known: Fingerprints | None) -> str:
    import base64
    import binascii

    found = re.match(rb"(?:;[\w=.-]+)*;base64,([A-Za-z0-9+/=\s]+)", data[start:])
    try:
        return _image_leak(base64.b64decode(found[1]), known) if found else _image_leak(b"", known)
    except binascii.Error:
        return _image_leak(b"", known)


def _image_leak(data: bytes, known: Fingerprints | None) -> str:
    """Any raster image is refused; one that is near a record is named as such."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            grey = np.asarray(image.convert("L"), dtype=np.float64)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return "it holds an image that cannot be read"
    if known is not None and nearest(difference_hash(grey), known.images) <= NEAR:
        return "it shows an image of the data"
    return "it holds a raster image; the report draws none"


def _text_leaks(text: str, known: Fingerprints, *, names_only: bool = False) -> Iterator[str]:
    if known.names and any(h in known.names for token in NAME.findall(text) for h in _token_hashes(token, known.salt)):
        yield "the identifier of a record"
    if names_only:
        return
    if known.words and any(h in known.words for h in _shingles(text, known)):
        yield "words of a record"
    if known.numbers:
        values = [float(token.replace("−", "-")) for token in NUMBER.findall(text)]
        if values and any(h in known.numbers for h in run_hashes(values, known.salt)):
            yield "consecutive values of a record"


def _token_hashes(token: str, salt: bytes) -> Iterator[int]:
    for form in dict.fromkeys((token, token.strip(".:"), *re.split(r"[=:@/]", token))):
        yield from name_hashes(form, salt)


def _shingles(text: str, known: Fingerprints) -> Iterator[int]:
    """Five-word runs of the text, and shorter ones at the length of a whole short record."""
    yield from word_hashes(text, known.salt)
    for line in re.split(r"[\n\t|,;]|\s{2,}", text):
        yield from word_hashes(line, known.salt)


def _pdf_leaks(data: bytes, known: Fingerprints | None) -> Iterator[str]:
    """Images, metadata and attachments of a PDF. The text of its pages is checked before they are laid out."""
    parts = [STREAM.sub(b"", data), *(unpacked(found[1]) for found in STREAM.finditer(data))]
    told: dict[bytes, None] = {}
    for part in parts:
        if PDF_RASTER.search(part):
            yield "it holds a raster image; the report draws none"
        if known is None:
            continue
        if part.lstrip()[:1] in (b"<", b"{", b"["):
            yield from _text_file_leaks(part, known)
        elif b"<<" in part:
            told.update(dict.fromkeys(_pdf_strings(part)))
    if known is not None:
        for raw in told:
            yield from _text_leaks(_pdf_string(raw), known)


def unpacked(stream: bytes) -> bytes:
    """A stream of a PDF without its compression."""
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream.strip()


def _pdf_strings(part: bytes) -> Iterator[bytes]:
    """The strings of document information, outlines and alternative texts."""
    yield from re.findall(rb"\(((?:[^()\\]|\\.)*)\)", part)
    for digits in re.findall(rb"<((?:[0-9A-Fa-f]{2})+)>", part):
        yield bytes.fromhex(digits.decode())


def _pdf_string(raw: bytes) -> str:
    if raw.startswith(b"\xfe\xff"):
        return raw[2:].decode("utf-16-be", "replace")
    return raw.decode("latin-1")


def visible(markup: str) -> str:
    """Text and attributes of a page, without its styles, fonts and drawing commands."""
    reader = _Visible()
    reader.feed(markup)
    reader.close()
    return " ".join(reader.heard)


class _Visible(HTMLParser):
    GEOMETRY = frozenset(
        {"d", "style", "transform", "points", "viewbox", "width", "height", "x", "y", "clip-path", "src", "xlink:href"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.heard: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        self.heard += [value for name, value in attrs if value and name not in self.GEOMETRY]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._style = False

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_comment(self, data: str) -> None:
        self.heard.append(data)

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.heard.append(data)
