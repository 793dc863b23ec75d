"""Claims that a record exists: what was tested, with what, against which limits. They say nothing about leakage.

The proposed likelihood is more than a record: it stays open as long as one of them is not known.
"""

from collections.abc import Callable

from auditor.core.findings import Claim, ClaimKind
from auditor.core.measurement import OutcomeStatus
from auditor.core.results import Results
from auditor.policy.roles import is_measured, is_test
from auditor.policy.words import count, listed


def record_claims(results: Results) -> tuple[Claim, ...]:
    """One claim for each kind of record that this run made."""
    made = []
    for kind, (of, describe) in _RECORDS.items():
        text = describe(results)
        if text:
            made.append(
                Claim(id=f"record:{kind}", kind=of, sentence=text, evidence_kind=kind, supports=True, evidence=("run",))
            )
    return (*made, *_likelihoods(results), *_sensitive_membership(results))


def _likelihoods(results: Results) -> tuple[Claim, ...]:
    """The proposed likelihoods; open as long as one is not known, or known as a lower end only."""
    if not results.risks:
        return ()
    unknown = sum(cell.likelihood is None for cell in results.risks)
    least = sum(cell.likelihood is not None and cell.at_least for cell in results.risks)
    parts = [f"for {unknown} it is not known"] if unknown else []
    parts += [f"for {least} only the least is known"] if least else []
    text = f"A likelihood from 1 to 4 is proposed by a fixed rule for {count(len(results.risks), 'feared event')}"
    return (
        Claim(
            id="record:likelihood_proposal",
            kind=ClaimKind.MEASUREMENT,
            sentence=f"{'; '.join([text, ' and '.join(parts)] if parts else [text])}.",
            evidence_kind="likelihood_proposal",
            supports=None if parts else True,
            evidence=("run",),
        ),
    )


def _sensitive_membership(results: Results) -> tuple[Claim, ...]:
    declared = results.organisation.membership_is_sensitive
    if declared is None:
        return ()
    words = "says something about a person" if declared else "says nothing about a person"
    return (
        Claim(
            id="declared:cohort",
            kind=ClaimKind.DECLARATION,
            sentence=f"A person declared that being in the training data {words}.",
            evidence_kind="cohort_membership_sensitivity_flag",
            supports=None,
            evidence=("audit.organisation.membership_is_sensitive",),
        ),
    )


def _federation(results: Results) -> str:
    federation = results.settings.get("federation") or {}
    if not federation:
        return ""
    clients, rounds = federation.get("clients"), federation.get("rounds")
    return (
        f"The federation was read from the settings: {federation.get('algorithm')}, {clients} clients, {rounds} rounds."
    )


def _payload(results: Results) -> str:
    layers = results.target.layers
    if not layers:
        return ""
    total = count(results.target.shape.parameters, "number")
    return f"An update carries {total} in {count(len(layers), 'layer')}, as listed in the report."


def _ratio(results: Results) -> str:
    shape = results.target.shape
    if shape.members <= 0:
        return ""
    return f"The model has {shape.parameters / shape.members:,.1f} parameters for each training record."


def _coverage(results: Results) -> str:
    return "The five attack classes of EDPB Opinion 28/2024 are listed as run or not run, each with its reason."


def _profiles(results: Results) -> str:
    tested = list(dict.fromkeys(o.scenario for o in results.outcomes if is_measured(o) and is_test(o)))
    return f"Results are given for each adversary: {listed(tested)}." if len(tested) > 1 else ""


def _effort(results: Results) -> str:
    measured = [outcome for outcome in results.outcomes if outcome.status == OutcomeStatus.MEASURED]
    if not measured or not all(outcome.effort for outcome in measured):
        return ""
    return "What each attack used (access, knowledge, computing) is recorded."


def _threats(results: Results) -> str:
    if not results.scenarios:
        return ""
    names = listed([scenario.name for scenario in results.scenarios if not scenario.control])
    return (
        f"The release context is declared as '{results.organisation.release_context}'; adversaries considered: {names}."
    )


def _protocol(results: Results) -> str:
    limits = sum(len(scenario.thresholds) for scenario in results.scenarios)
    if not (results.run.protocol_sha256 and limits):
        return ""
    protocol = results.run.protocol_sha256[:12]
    return f"{count(limits, 'limit')} and the attacks were fixed before the run (protocol {protocol})."


def _provenance(results: Results) -> str:
    run = results.run
    if not (run.tool_version and run.command and run.settings_sha256 and run.environment):
        return ""
    return f"Tool version {run.tool_version}, seed, command and environment of run {run.id} are recorded."


def _model(results: Results) -> str:
    if not results.target.model_sha256:
        return ""
    if results.target.weights_sha256:
        return "The model is named by a hash of its code and one of its weights."
    return "The model is named by a hash of its code; no weights were given, so the audit trained it and names none."


def _data(results: Results) -> str:
    splits = [split for split in results.target.splits if split.sha256]
    return f"The data is named by hashes and counts of {count(len(splits), 'split')}." if splits else ""


def _bundle(results: Results) -> str:
    return (
        "Every figure of the report is read from one file, whose SHA-256 over its canonical JSON (RFC 8785) the report "
        "prints; a checksum of the bytes of the file is another."
    )


def _inputs(results: Results) -> str:
    return "The results are arranged for the author of an impact assessment." if results.outcomes else ""


def _timestamp(results: Results) -> str:
    return f"The findings were produced at {results.run.finished}." if results.run.finished else ""


_RECORDS: dict[str, tuple[ClaimKind, Callable[[Results], str]]] = {
    "fl_config_snapshot": (ClaimKind.DECLARATION, _federation),
    "update_payload_inventory": (ClaimKind.MEASUREMENT, _payload),
    "params_to_records_ratio": (ClaimKind.MEASUREMENT, _ratio),
    "attack_coverage_table": (ClaimKind.MEASUREMENT, _coverage),
    "attacker_profile_matrix": (ClaimKind.MEASUREMENT, _profiles),
    "attacker_effort_record": (ClaimKind.MEASUREMENT, _effort),
    "threat_model_record": (ClaimKind.DECLARATION, _threats),
    "test_protocol_prereg": (ClaimKind.MEASUREMENT, _protocol),
    "run_provenance": (ClaimKind.MEASUREMENT, _provenance),
    "model_fingerprint": (ClaimKind.MEASUREMENT, _model),
    "data_fingerprint": (ClaimKind.MEASUREMENT, _data),
    "evidence_bundle_hash": (ClaimKind.MEASUREMENT, _bundle),
    "risk_input_summary": (ClaimKind.MEASUREMENT, _inputs),
    "finding_timestamp": (ClaimKind.MEASUREMENT, _timestamp),
}
