"""What kinds of evidence are, and what the claims of one run say for each kind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from auditor.core.findings import Claim


class Family(StrEnum):
    """How evidence of a kind comes about."""

    TEST = "test"
    RECORD = "record"
    RE_AUDIT = "re_audit"
    CONTROL = "control"
    PEOPLE = "people"


_TESTS = """
mia_tpr_at_fpr mia_per_record_vulnerability ppv_at_declared_prior gia_reconstruction_match model_inversion_match
attribute_inference_gain property_inference_gain extraction_rate exfiltration_test linkage_test leave_one_out_influence
subgroup_leakage dp_epsilon_recomputed dp_config_consistency dp_empirical_lower_bound secure_aggregation_sensitivity
output_granularity_check ablation_utility_vs_leakage utility_privacy_curve mitigation_delta
residual_likelihood_after_mitigation attacker_profile_server_result claim_vs_evidence_check likelihood_proposal
"""
_RECORDS = """
fl_config_snapshot update_payload_inventory params_to_records_ratio attack_coverage_table attacker_profile_matrix
attacker_effort_record threat_model_record test_protocol_prereg run_provenance model_fingerprint data_fingerprint
artifact_inventory evidence_bundle_hash risk_input_summary finding_timestamp
"""
FAMILIES: Final = MappingProxyType(
    dict.fromkeys(_TESTS.split(), Family.TEST)
    | dict.fromkeys(_RECORDS.split(), Family.RECORD)
    | dict.fromkeys(("audit_diff", "schedule_record", "change_trigger_log"), Family.RE_AUDIT)
    | {"negative_controls": Family.CONTROL}
    | dict.fromkeys(("human_signoff", "cohort_membership_sensitivity_flag"), Family.PEOPLE)
)

CONTROL_OF: Final = MappingProxyType(
    {
        "mia_tpr_at_fpr": "membership",
        "mia_per_record_vulnerability": "membership",
        "ppv_at_declared_prior": "membership",
        "gia_reconstruction_match": "reconstruction",
        "attribute_inference_gain": "attribute",
        "property_inference_gain": "property",
        "model_inversion_match": "model_inversion",
        "extraction_rate": "regurgitation",
        "exfiltration_test": "exfiltration",
    }
)
"""Measured success of attacks to the class whose negative control must be clean before the success counts."""

CLASS_OF_KIND: Final = MappingProxyType(
    {
        "mia_tpr_at_fpr": "i-membership",
        "mia_per_record_vulnerability": "i-membership",
        "ppv_at_declared_prior": "i-membership",
        "attribute_inference_gain": "i-attribute",
        "exfiltration_test": "ii",
        "extraction_rate": "iii",
        "model_inversion_match": "iv",
        "gia_reconstruction_match": "v",
    }
)
"""Kind of evidence to its row in the coverage table, so that a class that does not apply is not asked for."""

WORDS: Final = MappingProxyType(
    {
        "mia_tpr_at_fpr": "membership inference",
        "mia_per_record_vulnerability": "success against single records over repeated runs",
        "ppv_at_declared_prior": "precision at a declared prior",
        "gia_reconstruction_match": "reconstruction from updates",
        "model_inversion_match": "inversion of the finished model",
        "attribute_inference_gain": "attribute inference",
        "property_inference_gain": "property inference",
        "extraction_rate": "extraction of training content",
        "exfiltration_test": "exfiltration of stored data",
        "linkage_test": "linkage with another table",
        "leave_one_out_influence": "models with and without a record",
        "subgroup_leakage": "leakage by subgroup",
        "dp_epsilon_recomputed": "the recomputed epsilon",
        "dp_config_consistency": "declared against observed privacy settings",
        "dp_empirical_lower_bound": "a measured lower bound on epsilon",
        "fl_config_snapshot": "the federation's settings",
        "secure_aggregation_sensitivity": "leakage as updates are added up",
        "update_payload_inventory": "what an update contains",
        "output_granularity_check": "what the query interface returns",
        "params_to_records_ratio": "parameters for each training record",
        "ablation_utility_vs_leakage": "leakage when a part of the data is left out",
        "utility_privacy_curve": "usefulness against leakage over several settings",
        "mitigation_delta": "a re-run with a measure switched on",
        "cohort_membership_sensitivity_flag": "a declaration whether membership is sensitive",
        "attack_coverage_table": "the table of attack classes",
        "attacker_profile_matrix": "results for several adversaries",
        "attacker_profile_server_result": "the result for a server that follows the protocol",
        "attacker_effort_record": "the effort of each attack",
        "threat_model_record": "the declared threat model",
        "negative_controls": "attacks where nothing can be found",
        "test_protocol_prereg": "limits fixed before the run",
        "run_provenance": "the record of how the run was made",
        "model_fingerprint": "the hash of the model",
        "data_fingerprint": "the hash of the data",
        "artifact_inventory": "the list of files read and written",
        "evidence_bundle_hash": "the hash over all evidence",
        "audit_diff": "a comparison with an earlier audit",
        "schedule_record": "dates of re-audits",
        "change_trigger_log": "what changed since the last audit",
        "likelihood_proposal": "the proposed likelihood",
        "residual_likelihood_after_mitigation": "the likelihood after a measured measure",
        "risk_input_summary": "the summary for an impact assessment",
        "claim_vs_evidence_check": "declared statements against results",
        "finding_timestamp": "the time of the findings",
        "human_signoff": "a person's signature",
    }
)
"""Each kind in plain words."""


@dataclass(frozen=True)
class Evidence:
    """All claims of one kind.

    Attributes:
        supports: False where one contradicts, True where all support, None otherwise.
        answers: Claim id to its own answer.
        sentences: What they say.
    """

    kind: str
    supports: bool | None
    answers: Mapping[str, bool | None]
    sentences: tuple[str, ...]


def by_kind(claims: Iterable[Claim]) -> dict[str, Evidence]:
    """Claims gathered by evidence kind."""
    gathered: dict[str, list[Claim]] = {}
    for claim in claims:
        gathered.setdefault(claim.evidence_kind, []).append(claim)
    return {kind: _evidence(kind, found) for kind, found in gathered.items()}


def _evidence(kind: str, claims: list[Claim]) -> Evidence:
    answers = {claim.supports for claim in claims}
    supports = False if False in answers else True if answers == {True} else None
    return Evidence(kind, supports, {c.id: c.supports for c in claims}, tuple(c.sentence for c in claims))
