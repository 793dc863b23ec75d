"""The PAdES signature of ``report.pdf`` in the field of a role (ETSI EN 319 142-1), as an appended revision."""

import io
import textwrap
from datetime import datetime
from typing import Any

from auditor.core.errors import AuditorError
from auditor.report.fields import field_name, repeatable_writer, with_fields
from auditor.report.keys import Key, stamping
from auditor.report.signoff import SignOff, said
from auditor.report.strings import strings
from auditor.resources import folder

MARK = b"/ByteRange"
TEXT_SIZE = 8
WIDEST = 74
"""Characters of that size that fit beside each other in a field."""
AGAIN = "Each role signs once; begin anew with: auditor report RUN_DIR --discard-signatures."


def is_filled(pdf: bytes, field: str) -> bool:
    """Is there a signature in that field already."""
    from pyhanko.pdf_utils.reader import PdfFileReader

    return MARK in pdf and any(s.field_name == field for s in PdfFileReader(io.BytesIO(pdf)).embedded_signatures)


def sign_pdf(pdf: bytes, signoff: SignOff, key: Key, *, at: datetime, timestamper: Any = None) -> bytes:
    """The PDF with one more revision that fills the field of the role.

    Raises:
        AuditorError: where the field is filled already.
    """
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

    words = strings()
    writer = repeatable_writer(with_fields(pdf, words))
    meta = PdfSignatureMetadata(
        field_name=field_name(signoff.role),
        md_algorithm="sha256",
        name=signoff.person,
        reason=said(signoff, words),
        subfilter=SigSeedSubFilter.PADES,
    )
    signer = PdfSigner(meta, key.signer, stamp_style=_style(), timestamper=timestamper)
    out = io.BytesIO()
    try:
        with stamping(timestamper):
            signer.sign_pdf(
                writer, output=out, existing_fields_only=True, appearance_text_params={"text": _shown(signoff, at)}
            )
    except SigningError as error:
        raise AuditorError(f"release/report.pdf was not signed: {error}", remedy=AGAIN) from None
    return out.getvalue()


def _shown(signoff: SignOff, at: datetime) -> str:
    """The visible lines; what does not fit the field is in the signature's reason and in the statement."""
    words = strings()
    when = f"{at:%Y-%m-%d %H:%M} UTC"
    decision = words.plain(f"signing.short.{signoff.decision}") if signoff.decision else ""
    lines = [
        f"{signoff.person}, {words.plain(f'signoff.roles.{signoff.role}')}",
        f"{when}, {decision}" if decision else when,
        *textwrap.wrap(
            f"“{signoff.remark.strip()}”" if signoff.remark.strip() else "",
            WIDEST,
            max_lines=3,
            placeholder=f" … ({words.plain('signing.in_full', role=signoff.role)})",
        ),
    ]
    return "\n".join(line if len(line) <= WIDEST else line[: WIDEST - 1] + "…" for line in lines)


def _style() -> Any:
    """Plain text in the report's own font, embedded."""
    from pyhanko.pdf_utils import layout
    from pyhanko.pdf_utils.font.opentype import GlyphAccumulatorFactory
    from pyhanko.pdf_utils.text import TextBoxStyle
    from pyhanko.stamp import TextStampStyle

    file = folder("templates/report/fonts") / "SourceSans3-Regular.ttf"
    font = GlyphAccumulatorFactory(str(file), font_size=TEXT_SIZE, create_objstream_if_needed=False)
    placed = layout.SimpleBoxLayoutRule(
        x_align=layout.AxisAlignment.ALIGN_MIN,
        y_align=layout.AxisAlignment.ALIGN_MID,
        inner_content_scaling=layout.InnerScaling.SHRINK_TO_FIT,
    )
    box = TextBoxStyle(font=font, font_size=TEXT_SIZE, border_width=0)
    return TextStampStyle(stamp_text="%(text)s", border_width=0, text_box_style=box, inner_content_layout=placed)
