"""``audit.yaml``: the contract loads, and every mistake is named with its place."""

from pathlib import Path

import pytest

from auditor.config.load import available_scenarios, load_audit, load_blocks, load_scenario
from auditor.config.settings import PrivacySettings
from auditor.core.errors import AuditorError, SettingsError
from auditor.core.grants import Grant

GOOD = """\
audit:
  name: ward-risk
  release_context: partners
  organisation: {data_category: ordinary}
target:
  model: target.py:build
  modality: image
  data:
    path: xrays.npz
    inputs: images
    labels: labels
federation:
  algorithm: fedavg
  clients: 40
privacy:
  mechanism: dp_sgd
  protects: record
  adjacency: add_or_remove
  noise_multiplier: 0.8
  clipping: {norm: 1.0}
  sampling: poisson
  delta: 1e-5
"""


def audit_file(folder: Path, text: str) -> Path:
    path = folder / "audit.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, old: str, new: str) -> tuple[str, ...]:
    """What is wrong with the good file once ``old`` reads ``new``."""
    assert old in GOOD
    with pytest.raises(SettingsError) as caught:
        load_audit(audit_file(folder, GOOD.replace(old, new, 1)))
    return caught.value.problems


class TestContract:
    def test_the_contract_loads(self, shared_data: Path) -> None:
        document = load_audit(shared_data / "design" / "audit-example.yaml")
        settings = document.settings
        assert settings.privacy.delta == 1e-5
        assert settings.target.data.normalise is not None
        assert settings.federation.participation.rate == 0.25
        assert settings.federation.aggregation.secure.threshold == 8
        line = document.text.splitlines()[int(document.positions["privacy.noise_multiplier"].split(":")[1]) - 1]
        assert line.strip().startswith("noise_multiplier: 0.8")

    def test_every_written_value_has_its_place(self, tmp_path: Path) -> None:
        document = load_audit(audit_file(tmp_path, GOOD))
        assert document.positions["privacy.noise_multiplier"] == "audit.yaml:19:3"
        assert document.positions["privacy.clipping.norm"] == "audit.yaml:20:14"
        assert document.where("privacy.claimed_epsilon") == "audit.yaml:15:1"
        assert document.where("budget.minutes") == "audit.yaml"

    def test_folder_is_where_the_file_lies(self, tmp_path: Path) -> None:
        assert load_audit(audit_file(tmp_path, GOOD)).folder == tmp_path.resolve()

    def test_short_form_of_clipping(self, tmp_path: Path) -> None:
        text = GOOD.replace("clipping: {norm: 1.0}", "clipping_norm: 2.5")
        document = load_audit(audit_file(tmp_path, text))
        assert document.settings.privacy.clipping is not None
        assert document.settings.privacy.clipping.norm == 2.5
        assert document.positions["privacy.clipping.norm"] == "audit.yaml:20:3"
        assert PrivacySettings(mechanism="dp_sgd", clipping_norm=2.5).clipping == document.settings.privacy.clipping

    def test_one_name_where_a_list_is_meant(self, tmp_path: Path) -> None:
        document = load_audit(audit_file(tmp_path, GOOD + "scenarios: released-model\nreport: {controls: gdpr}\n"))
        assert document.settings.scenarios == ("released-model",)
        assert document.settings.report.controls == ("gdpr",)

    def test_names_that_look_like_numbers(self, tmp_path: Path) -> None:
        document = load_audit(audit_file(tmp_path, GOOD.replace("labels: labels", "labels: 8")))
        assert document.settings.target.data.labels == "8"


class TestMistakes:
    def test_all_at_once_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        text = (
            GOOD.replace("name: ward-risk", "nmae: ward-risk")
            .replace("clients: 40", "clients: 0")
            .replace("noise_multiplier: 0.8", "noise_multiplier: much")
            .replace("  sampling: poisson\n", "")
            .replace("delta: 1e-5", "delta: 1")
        )
        with pytest.raises(SettingsError) as caught:
            load_audit(audit_file(tmp_path, text + "budgit: {minutes: 3}\n"))
        assert str(caught.value).splitlines() == [
            "audit.yaml:1:1: audit.name: required and missing",
            "audit.yaml:2:3: audit.nmae: not a setting; did you mean 'name'?",
            "audit.yaml:14:3: federation.clients: must be at least 1; received 0",
            "audit.yaml:15:1: privacy.sampling: required with mechanism 'dp_sgd'; say how the code really draws the "
            "protected unit: 'poisson', 'shuffled', 'fixed_size' or 'full'",
            "audit.yaml:19:3: privacy.noise_multiplier: must be a number; received 'much'",
            "audit.yaml:21:3: privacy.delta: must be less than 1; received 1; choose it well below one over the "
            "number of protected units (records or clients), e.g. 1.0e-5",
            "audit.yaml:22:1: budgit: not a setting; did you mean 'budget'?",
        ]

    def test_the_sentence_of_the_design(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "clipping: {norm: 1.0}", "clipping_nrom: 1.0")
        assert found[-1] == "audit.yaml:20:3: privacy.clipping_nrom: not a setting; did you mean 'clipping_norm'?"

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            (
                "release_context: partners",
                "release_context: everybody",
                "audit.yaml:3:3: audit.release_context: received 'everybody'; allowed: 'internal', 'partners' or "
                "'public'",
            ),
            (
                "mechanism: dp_sgd",
                "mechanism: dp-sgd",
                "audit.yaml:16:3: privacy.mechanism: received 'dp-sgd'; allowed: 'none', 'dp_sgd', 'dp_fedavg', "
                "'local', 'distributed' or 'dp_ftrl'; did you mean 'dp_sgd'?",
            ),
            (
                "modality: image",
                "modality: images",
                "audit.yaml:7:3: target.modality: received 'images'; allowed: 'image', 'tabular', 'text', "
                "'timeseries' or 'multimodal'; did you mean 'image'?",
            ),
            (
                "clients: 40",
                "clients: 2.5",
                "audit.yaml:14:3: federation.clients: must be a whole number; received 2.5",
            ),
            ("clients: 40", "clients: true", "audit.yaml:14:3: federation.clients: must be a number; received true"),
            (
                "clients: 40",
                "local: 5",
                "audit.yaml:14:3: federation.local: must be a mapping of settings; received 5",
            ),
            (
                "clipping: {norm: 1.0}",
                "clipping: {norm: -1}",
                "audit.yaml:20:14: privacy.clipping.norm: must be greater than 0; received -1",
            ),
            (
                "noise_multiplier: 0.8",
                "noise_multiplier: .inf",
                "audit.yaml:19:3: privacy.noise_multiplier: must be a finite number; received inf",
            ),
            (
                "inputs: images",
                "normalise: {mean: [0.5], std: [0]}",
                "audit.yaml:10:36: target.data.normalise.std.0: must be greater than 0; received 0",
            ),
            (
                "inputs: images",
                "normalise: standardize",
                "audit.yaml:10:5: target.data.normalise: received 'standardize'; allowed: 'standardise'; did you mean "
                "'standardise'?",
            ),
            (
                "inputs: images",
                "normalise: {mean: [0.5, 0.5], std: [1]}",
                "audit.yaml:10:5: target.data.normalise: 2 means but 1 standard deviations; give one of each for every "
                "channel",
            ),
            (
                "model: target.py:build",
                "model: model.pkl",
                "audit.yaml:6:3: target.model: received 'model.pkl'; allowed: FILE.py:callable, "
                "package.module:callable or a .pt2 file of torch.export",
            ),
            (
                "modality: image",
                "modality: image\n  loss: cross_entropie",
                "audit.yaml:8:3: target.loss: received 'cross_entropie'; allowed: 'default', 'cross_entropy' or 'mse' "
                "or FILE.py:callable; did you mean 'cross_entropy'?",
            ),
            (
                "labels: labels",
                "max_tokens: 5",
                "audit.yaml:8:3: target.data.labels: required for task 'classification'; name the array or column",
            ),
        ],
    )
    def test_one_sentence(self, tmp_path: Path, old: str, new: str, problem: str) -> None:
        assert problem in problems(tmp_path, old, new)

    def test_missing_blocks(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            load_audit(audit_file(tmp_path, "audit: {name: x}\n"))
        assert caught.value.problems == (
            "audit.yaml:1:1: audit.release_context: required and missing; allowed: 'internal', 'partners' or 'public'",
            "audit.yaml:1:1: audit.organisation: required and missing",
            "audit.yaml:1:1: target: required and missing",
            "audit.yaml:1:1: federation: required and missing",
            "audit.yaml:1:1: privacy: required and missing",
        )

    @pytest.mark.parametrize("text", ["- a\n", "just text\n"])
    def test_no_settings_at_all(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(SettingsError, match="the file must hold settings such as `audit:`"):
            load_audit(audit_file(tmp_path, text))


class TestRules:
    @pytest.mark.parametrize("name", ["protects", "adjacency", "sampling", "noise_multiplier", "clipping", "delta"])
    def test_nothing_of_a_mechanism_is_defaulted(self, tmp_path: Path, name: str) -> None:
        line = next(line for line in GOOD.splitlines() if line.startswith(f"  {name}:"))
        (found,) = problems(tmp_path, f"{line}\n", "")
        assert found.startswith(f"audit.yaml:15:1: privacy.{name}: required with mechanism 'dp_sgd'; ")

    def test_no_mechanism_needs_nothing(self, tmp_path: Path) -> None:
        text = GOOD[: GOOD.index("privacy:")] + "privacy: {mechanism: none, claimed_epsilon: 3}\n"
        assert load_audit(audit_file(tmp_path, text)).settings.privacy.claimed_epsilon == 3

    @pytest.mark.parametrize(
        ("block", "problem"),
        [
            ("participation: {scheme: poisson}", "participation.rate: required with scheme 'poisson'"),
            ("participation: {scheme: fixed_size}", "participation.count: required with scheme 'fixed_size'"),
            (
                "participation: {scheme: fixed_size, count: 41}",
                "participation.count: 41 clients in a round, but the federation has 40 in all",
            ),
            ("participation: {rate: 0.5}", "participation.rate: is not used by scheme 'full'"),
            ("partition: {scheme: dirichlet}", "partition.alpha: required with scheme 'dirichlet'"),
            ("partition: {scheme: by_column}", "partition.column: required with scheme 'by_column'"),
            ("partition: {alpha: 0.5}", "partition.alpha: is not used by scheme 'iid'"),
            ("local: {proximal: 0.1}", "local.proximal: is not used by algorithm 'fedavg'"),
            (
                "aggregation: {rule: median, secure: {enabled: true}}",
                "aggregation.rule: secure aggregation gives the server only the sum",
            ),
            (
                "aggregation: {secure: {enabled: true, threshold: 50}}",
                "aggregation.secure.threshold: 50 clients must take part, but the federation has 40",
            ),
            ("update: {top_k: 1.5}", "update.top_k: must be at most 1; received 1.5"),
            ("update: {top_k: 0}", "update.top_k: must be greater than 0; received 0"),
        ],
    )
    def test_federation(self, tmp_path: Path, block: str, problem: str) -> None:
        (found,) = problems(tmp_path, "clients: 40", f"clients: 40\n  {block}")
        assert found.split(": ", 1)[1].startswith(f"federation.{problem}")
        assert found.startswith("audit.yaml:15:")

    @pytest.mark.parametrize(
        ("algorithm", "problem"),
        [
            ("fedprox", "federation.local.proximal: required with algorithm 'fedprox'"),
            ("fedsgd\n  local: {epochs: 3}", "federation.local.epochs: 'fedsgd' sends one gradient of one batch"),
        ],
    )
    def test_algorithms(self, tmp_path: Path, algorithm: str, problem: str) -> None:
        (found,) = problems(tmp_path, "algorithm: fedavg", f"algorithm: {algorithm}")
        assert problem in found

    @pytest.mark.parametrize(
        ("roles", "problem"),
        [
            (["members: {split: a}"], "nonmembers: required, because members is given"),
            (["nonmembers: {split: a}"], "members: required, because nonmembers is given"),
            (
                ["members: {split: a}", "nonmembers: {split: a}"],
                "nonmembers: is the same split 'a' as members; a record can play one role only",
            ),
            (["population: {}"], "population: empty; say which records"),
        ],
    )
    def test_splits(self, tmp_path: Path, roles: list[str], problem: str) -> None:
        found = problems(tmp_path, "labels: labels", "\n    ".join(["labels: labels", *roles]))
        assert any(f": target.data.{problem}" in line for line in found)

    def test_two_counts_of_one_split_are_fine(self, tmp_path: Path) -> None:
        roles = "labels: labels\n    members: {split: a, count: 5}\n    nonmembers: {split: a, count: 5}"
        load_audit(audit_file(tmp_path, GOOD.replace("labels: labels", roles)))

    def test_deployed_weights_need_their_training_records(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "modality: image", "modality: image\n  weights: w.safetensors")
        assert [line.split(": ")[1] for line in found] == ["target.data.members", "target.data.nonmembers"]
        assert "scenario 'released-model' tests membership" in found[0]
        text = GOOD.replace("modality: image", "modality: image\n  weights: w.safetensors")
        load_audit(audit_file(tmp_path, text + "scenarios: [honest-server]\n"))

    def test_adaptive_clipping(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "{norm: 1.0}", "{norm: 1.0, kind: adaptive}")
        assert [line.split(": ")[1] for line in found] == ["privacy.clipping.quantile", "privacy.clipping.count_noise"]


class TestBlocks:
    def test_two_blocks_are_enough(self, tmp_path: Path) -> None:
        text = GOOD[GOOD.index("federation:") :]
        blocks = load_blocks(audit_file(tmp_path, text))
        assert blocks.federation.clients == 40
        assert blocks.privacy.noise_multiplier == 0.8
        assert blocks.positions["privacy.delta"] == "audit.yaml:11:3"

    def test_other_blocks_may_be_wrong(self, tmp_path: Path) -> None:
        text = GOOD.replace("modality: image", "modality: smell")
        assert load_blocks(audit_file(tmp_path, text)).federation.algorithm == "fedavg"

    def test_problems_of_the_two(self, tmp_path: Path) -> None:
        text = GOOD.replace("delta: 1e-5", "delta: 2").replace("federation:", "federaton:")
        with pytest.raises(SettingsError) as caught:
            load_blocks(audit_file(tmp_path, text))
        assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
            "federation: required and missing",
            "federaton: not a setting; did you mean 'federation'?",
            "privacy.delta: must be less than 1; received 2; choose it well below one over the number of "
            "protected units (records or clients), e.g. 1.0e-5",
        ]


class TestScenarios:
    def test_built_in(self, tmp_path: Path) -> None:
        assert {"honest-server", "secure-aggregation-server", "released-model"} <= set(available_scenarios())
        for name in available_scenarios():
            scenario = load_scenario(name, relative_to=tmp_path)
            assert scenario.name == name
            assert scenario.attacks

    def test_own(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text(
            "title: T\ndescription: D\nactor: client\ngrants: [model_weights]\nattacks: [membership/lira]\n"
            "thresholds: [{metric: auc, limit: 0.6, reason: Policy.}]\n"
        )
        scenario = load_scenario("mine.yaml", relative_to=tmp_path)
        assert (scenario.name, scenario.grants) == ("mine", frozenset({Grant.MODEL_WEIGHTS}))
        assert scenario.thresholds[0].limit == 0.6

    def test_unknown_name(self, tmp_path: Path) -> None:
        with pytest.raises(AuditorError) as caught:
            load_scenario("honest-sever", relative_to=tmp_path)
        assert "there is no scenario 'honest-sever'; did you mean 'honest-server'?" in str(caught.value)

    def test_mistakes_have_places(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text(
            "title: T\ndescription: D\nactor: clyent\ngrants: [model_weight]\nattacks: []\nthresholds: []\nx: 1\n"
        )
        with pytest.raises(SettingsError) as caught:
            load_scenario("mine.yaml", relative_to=tmp_path)
        found = caught.value.problems
        assert found[0].startswith("mine.yaml:3:1: actor: received 'clyent'; allowed: 'server', 'client'")
        assert found[1].startswith("mine.yaml:4:10: grants.0: received 'model_weight'; allowed: 'client_update'")
        assert found[1].endswith("did you mean 'model_weights'?")
        assert found[2].startswith("mine.yaml:7:1: x: not a setting; allowed here: name, title")


def test_a_defence_that_cannot_be_simulated_is_refused_not_ignored(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "  clients: 40\n", "  clients: 40\n  defences: [gradient-masking]\n")
    assert "federation.defences: 'gradient-masking' cannot be simulated yet" in found
