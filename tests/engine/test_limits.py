"""What a run does not show is said: local steps that no attack followed."""

from dataclasses import replace
from pathlib import Path

from auditor.engine.limits import limits_of
from tests.engine.targets import digits_target, document
from tests.engine.test_plan import planned


def said(steps: int, **parameters: object) -> list[str]:
    target = digits_target()
    shape = target.model.shape.model_copy(update={"local_steps": steps})
    taking = replace(target, model=replace(target.model, shape=shape))
    given = {"attacks": ["inversion/gradient-matching"], "parameters": {"inversion/gradient-matching": parameters}}
    found = limits_of(document(Path(), **given), taking, planned(**given), ())
    return [sentence for sentence in found if "one gradient" in sentence]


def test_local_steps_that_were_not_followed_are_said() -> None:
    (sentence,) = said(20)
    assert "inversion/gradient-matching read the 20 local steps" in sentence
    assert "parameters.inversion/gradient-matching.unrolled_steps asks for more than 8" in sentence


def test_steps_that_were_followed_are_not() -> None:
    assert not said(8)
    assert not said(1)
    assert not said(20, unrolled_steps=20)
