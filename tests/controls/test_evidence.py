import pytest

from auditor.controls.catalogue import vocabulary
from auditor.controls.evidence import CLASS_OF_KIND, CONTROL_OF, FAMILIES, Family, by_kind
from auditor.core.findings import Claim, ClaimKind
from auditor.policy.coverage import CLASSES


@pytest.mark.parametrize("kind", sorted(vocabulary()))
def test_every_kind_has_a_family(kind):
    assert kind in FAMILIES
    if kind in CONTROL_OF or kind in CLASS_OF_KIND:
        assert FAMILIES[kind] == Family.TEST


def test_classes_are_those_of_the_coverage_table():
    assert set(CLASS_OF_KIND.values()) <= {row.id for row in CLASSES}


@pytest.mark.parametrize(
    ("answers", "together"),
    [((True, True), True), ((True, None), None), ((True, False), False), ((None, False), False), ((None,), None)],
)
def test_claims_of_one_kind_add_up(answers, together):
    claims = [
        Claim(id=str(i), kind=ClaimKind.MEASUREMENT, sentence="s", evidence_kind="extraction_rate", supports=answer)
        for i, answer in enumerate(answers)
    ]
    found = by_kind(claims)["extraction_rate"]
    assert found.supports is together
    assert dict(found.answers) == {str(i): answer for i, answer in enumerate(answers)}
