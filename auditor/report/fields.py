"""Empty signature fields on the sign-off page of ``report.pdf``, one for each role.

They are appended to the rendered file (ISO 32000-1, 7.5.6), whose bytes stay as they are. The same file gives the same
bytes, so that a verification can tell the fields from any other change. Each field is named for screen readers and
stands in the structure tree as a ``Form`` (ISO 32000-1, 14.8.4.5).
"""

import hashlib
import io
from typing import Any, NamedTuple

from auditor.core.errors import AuditorError
from auditor.report.strings import Strings

ROLES = ("assessor", "dpo", "controller")
ANCHOR = "sign-{role}"
HEIGHT = 57.0
INSET = 3.0


class Place(NamedTuple):
    """Where a field goes: page index, and its box in points from the lower left corner."""

    page: int
    box: tuple[float, float, float, float]


def with_fields(pdf: bytes, words: Strings) -> bytes:
    """The PDF with an empty signature field in each cell of the sign-off table; unchanged where it has them.

    Raises:
        AuditorError: where the PDF has no sign-off table that this version knows.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.fields import SigFieldSpec, append_signature_field

    reader = PdfFileReader(io.BytesIO(pdf))
    if "/AcroForm" in reader.root:
        return pdf
    writer = repeatable_writer(pdf)
    for role, place in _places(reader).items():
        spec = SigFieldSpec(
            field_name(role),
            on_page=place.page,
            box=place.box,
            empty_field_appearance=True,
            readable_field_name=words.plain("signing.field", role=words.plain(f"signoff.roles.{role}")),
        )
        append_signature_field(writer, spec)
    fields = writer.root["/AcroForm"]["/Fields"]
    for k in range(len(fields)):
        _tag(writer, fields.raw_get(k))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def field_name(role: str) -> str:
    """The name of a role's field."""
    return role.capitalize() if role != "dpo" else "DPO"


def repeatable_writer(pdf: bytes) -> Any:
    """A writer of appended revisions whose bytes follow from the file: no clock, no random identifier."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    class Repeatable(IncrementalPdfFileWriter):  # type: ignore[misc]
        """Leaves metadata and version alone: PDF/A-3 is a PDF 1.7."""

        def _update_meta(self) -> None:
            return

        def ensure_output_version(self, version: tuple[int, int]) -> None:
            return

    writer = Repeatable(io.BytesIO(pdf))
    writer._document_id[1] = generic.ByteStringObject(hashlib.sha256(pdf).digest()[:16])
    return writer


def _places(reader: Any) -> dict[str, Place]:
    """The boxes of the roles, from the named destinations of the table's cells.

    Raises:
        AuditorError: where one is missing.
    """
    found = _destinations(reader)
    pages = {page.reference.idnum: k for k, page in enumerate(_pages(reader.root.raw_get("/Pages")))}
    places = {}
    for role in ROLES:
        target = found.get(ANCHOR.format(role=role))
        if target is None:
            raise AuditorError(
                "release/report.pdf has no place for signatures.",
                remedy="Render it with this version first: auditor report RUN_DIR.",
            )
        page = target.raw_get(0)
        left, top = float(target[2]), float(target[3])
        right = float(page.get_object()["/MediaBox"][2]) - _margin(found)
        box = (left + INSET, top - HEIGHT, right - INSET, top - INSET)
        places[role] = Place(pages[page.reference.idnum], box)
    return places


def _margin(destinations: dict[str, Any]) -> float:
    """The right margin, which is as wide as the left one: sections begin there."""
    return float(destinations["signoff"][2])


def _destinations(reader: Any) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    waiting = [reader.root.get("/Names", {}).get("/Dests", {})]
    while waiting:
        node = waiting.pop()
        waiting += list(node.get("/Kids", ()))
        pairs = list(node.get("/Names", ()))
        flat |= {str(name): target for name, target in zip(pairs[::2], pairs[1::2], strict=True)}
    return flat


def _pages(reference: Any) -> list[Any]:
    node = reference.get_object()
    if "/Kids" not in node:
        return [reference]
    kids = node["/Kids"]
    return [page for k in range(len(kids)) for page in _pages(kids.raw_get(k))]


def _tag(writer: Any, field: Any) -> None:
    """Give a field its place in the structure tree: an element, and the way back from the field to it."""
    from pyhanko.pdf_utils import generic

    name = generic.pdf_name
    tree = writer.root["/StructTreeRoot"]
    parents = tree["/ParentTree"]["/Nums"]
    key = 1 + max((int(parents[k]) for k in range(0, len(parents), 2)), default=-1)
    root = tree["/K"].raw_get(0) if isinstance(tree["/K"], generic.ArrayObject) else tree.raw_get("/K")
    children = root.get_object()["/K"]
    widget = field.get_object()
    content = generic.DictionaryObject({name("/Type"): name("/OBJR"), name("/Obj"): field})
    element = writer.add_object(
        generic.DictionaryObject(
            {
                name("/Type"): name("/StructElem"),
                name("/S"): name("/Form"),
                name("/P"): root,
                name("/Alt"): widget["/TU"],
                name("/Pg"): widget.raw_get("/P"),
                name("/K"): content,
            }
        )
    )
    children.append(element)
    writer.update_container(children)
    parents.extend([generic.NumberObject(key), element])
    writer.update_container(parents)
    widget[name("/StructParent")] = generic.NumberObject(key)
    writer.update_container(widget)
