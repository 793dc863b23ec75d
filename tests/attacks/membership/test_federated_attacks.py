"""Attacks on a log of rounds: the figures of the research on federated digits, and what must not work."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from auditor.attacks.base import Attack, Knowledge, RunContext
from auditor.attacks.inference.source import SourceInference
from auditor.attacks.membership import cohort_unmixing, fedmia, gradient_alignment, loss_series, traces, update_density
from auditor.attacks.membership.cohort_unmixing import CohortUnmixing
from auditor.attacks.membership.fedmia import FedMia
from auditor.attacks.membership.gradient_alignment import GradientAlignment
from auditor.attacks.membership.loss_series import LossSeries
from auditor.attacks.membership.rmia import area
from auditor.attacks.membership.traces import Trace, alignments, local_losses
from auditor.attacks.membership.update_density import Density, UpdateDensity, fitted
from auditor.attacks.membership.watch import Watch
from auditor.core.errors import AttackDoesNotApply, AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.metrics.choices import measure_choices
from auditor.metrics.shift import blind_baseline
from auditor.observations.released import Rounds, RoundView
from auditor.observations.returned import MembershipScores
from tests.federated_cases import Federation, federation
from tests.membership_cases import shared_model

KNOWN = Knowledge(shared_model())

ATTACKS: dict[str, tuple[Attack, float]] = {
    "avg-cosine": (GradientAlignment(GradientAlignment.Params()), 0.73),
    "fedmia-i": (FedMia(FedMia.Params(signal="loss")), 0.70),
    "fedmia-ii": (FedMia(FedMia.Params()), 0.70),
    "loss-series": (LossSeries(LossSeries.Params(against="nothing")), 0.62),
    "loss-fall": (LossSeries(LossSeries.Params()), 0.70),
    "update-density": (UpdateDensity(UpdateDensity.Params()), 0.70),
}


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten clients of one log share its traces: the test asks ten questions about one pass."""
    kept: dict[tuple[object, ...], Trace] = {}

    def once(compute: Callable[..., Trace]) -> Callable[..., Trace]:
        def cached(seen: Rounds, *args: Any, **options: Any) -> Trace:
            key = (compute.__name__, id(seen.rounds[0].before), len(seen.rounds), tuple(options.items()))
            if key not in kept:
                kept[key] = compute(seen, *args, **options)
            return kept[key]

        return cached

    for module in (gradient_alignment, fedmia, cohort_unmixing, update_density):
        monkeypatch.setattr(module, "alignments", once(alignments))
    for module in (fedmia, loss_series):
        monkeypatch.setattr(module, "local_losses", once(local_losses))


@pytest.fixture(scope="module")
def log() -> Federation:
    return federation()


def membership_area(attack: Attack, log: Federation, client: int, *, secure: bool = False) -> float:
    """AUC of one client's records against the records outside the federation."""
    output = attack.run(log.seen(client, secure=secure), KNOWN, RunContext())
    assert isinstance(output, MembershipScores)
    asked = (log.owner == client) | (log.owner < 0)
    return area(output.scores[asked], (log.owner == client)[asked])


def mean_area(attack: Attack, log: Federation, *, secure: bool = False) -> float:
    return sum(membership_area(attack, log, client, secure=secure) for client in range(10)) / 10


@pytest.mark.usefixtures("traced_once")
def test_passive_attacks_reach_the_research(log: Federation) -> None:
    for name, (attack, least) in ATTACKS.items():
        assert mean_area(attack, log) >= least, name


@pytest.mark.usefixtures("traced_once")
def test_clipping_and_noise_stop_them() -> None:
    """Clip 1 and noise 1.0 on every coordinate of every update: every attack at most 0.62."""
    noisy = federation(clip=1.0, noise=1.0, rounds=40)
    for name, (attack, _) in ATTACKS.items():
        assert mean_area(attack, noisy) <= 0.62, name


@pytest.mark.papers
@pytest.mark.usefixtures("traced_once")
@pytest.mark.timeout(900)
def test_passive_attacks_reach_the_research_over_three_seeds() -> None:
    logs = [federation(seed=seed) for seed in range(3)]
    noisy = [federation(seed=seed, clip=1.0, noise=1.0) for seed in range(3)]
    for name, (attack, least) in ATTACKS.items():
        assert sum(mean_area(attack, log) for log in logs) / 3 >= least, name
        assert max(mean_area(attack, log) for log in noisy) <= 0.62, name


def test_blind_baseline_finds_nothing_in_the_federation(log: Federation) -> None:
    inside = log.owner >= 0
    found = blind_baseline(log.candidates[inside], log.candidates[~inside], seed=0)
    measured = next(m.value for m in found.measures.measurements if m.metric == "auc")
    assert measured == pytest.approx(0.5, abs=0.06)


def test_last_round_alone_reads_only_that_round(log: Federation) -> None:
    last = GradientAlignment(GradientAlignment.Params(rounds="last"))
    seen = Rounds(log.rounds[-3:], log.candidates[:100], 0, log.local)
    short = Rounds(log.rounds[-1:], log.candidates[:100], 0, log.local)
    assert torch.equal(last.run(seen, KNOWN, RunContext()).scores, last.run(short, KNOWN, RunContext()).scores)


@pytest.mark.usefixtures("traced_once")
def test_unmixing_reaches_the_research_under_secure_aggregation() -> None:
    changing = federation(cohort=5, rounds=50)
    found = mean_area(CohortUnmixing(CohortUnmixing.Params()), changing, secure=True)
    assert found >= 0.67
    trace = cohort_unmixing.alignments(changing.seen(secure=True), shared_model(), RunContext(), aggregate=True)
    one = trace.values[:, 0].mean(dim=0)
    asked = (changing.owner == 0) | (changing.owner < 0)
    assert found > area(one[asked], (changing.owner == 0)[asked])


def test_unmixing_says_when_cohorts_do_not_change(log: Federation) -> None:
    with pytest.raises(AttackDoesNotApply, match="do not single out client 0"):
        CohortUnmixing(CohortUnmixing.Params()).run(log.seen(0, secure=True), KNOWN, RunContext())


def test_sums_still_say_whether_any_client_holds_a_record(log: Federation) -> None:
    """The research has 0.56 for the cosine with the aggregate; single updates would say more."""
    scores = ATTACKS["avg-cosine"][0].run(log.seen(None, secure=True), KNOWN, RunContext()).scores
    assert area(scores, log.owner >= 0) >= 0.55


def test_many_questions_about_one_log_are_answered_as_one_by_one(log: Federation) -> None:
    few = log.rounds[-4:]
    asked = torch.where(log.owner < 0, torch.arange(len(log.owner)) % 10, log.owner)
    for name, (attack, _) in ATTACKS.items():
        together = attack.run(Rounds(few, log.candidates, None, log.local, asked=asked), KNOWN, RunContext()).scores
        for client in (0, 7):
            alone = attack.run(Rounds(few, log.candidates, client, log.local), KNOWN, RunContext()).scores
            mine = asked == client
            torch.testing.assert_close(together[mine], alone[mine], msg=name)


def test_figures_taken_as_rounds_go_by_give_the_same_scores(log: Federation) -> None:
    few = log.rounds[:4]
    watch = Watch(log.candidates, shared_model())
    for view in few:
        watch.see(view)
    whole = Rounds(few, log.candidates, 3, log.local)
    kept = Rounds(tuple(watch.views), log.candidates, 3, log.local, projections=watch.projections())
    assert not kept.rounds[0].before
    for name, (attack, _) in ATTACKS.items():
        one, other = (attack.run(seen, KNOWN, RunContext()).scores for seen in (whole, kept))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("name", ["fedmia-ii", "fedmia-i", "loss-series"])
def test_secure_aggregation_hides_single_updates(log: Federation, name: str) -> None:
    with pytest.raises(AttackFailed, match="secure aggregation"):
        ATTACKS[name][0].run(log.seen(0, secure=True), KNOWN, RunContext())


def test_fedmia_needs_other_clients(log: Federation) -> None:
    alone = tuple(
        RoundView(r.round, r.before, {c: r.updates[c] for c in (0, 1)}, (0, 1), r.aggregate) for r in log.rounds[:2]
    )
    with pytest.raises(AttackFailed, match="at least 3 other clients"):
        ATTACKS["fedmia-ii"][0].run(Rounds(alone, log.candidates, 0, log.local), KNOWN, RunContext())


def test_residuals_are_those_of_the_gaussian_itself() -> None:
    """Against the covariance written out: conditional mean and variance of one coordinate given all others."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64)).Q.T
    density = Density(shared, torch.tensor([3.0, 0.5], dtype=torch.float64), 0.2)
    covariance = shared.T @ torch.diag(density.strengths) @ shared + 0.2 * torch.eye(6, dtype=torch.float64)
    row = torch.randn(6, generator=generator, dtype=torch.float64)
    found = density.residuals(row.unsqueeze(0))[0]
    for i in range(6):
        rest = torch.arange(6) != i
        weights = torch.linalg.solve(covariance[rest][:, rest], covariance[rest, i])
        variance = covariance[i, i] - weights @ covariance[rest, i]
        assert found[i] == pytest.approx(float((row[i] - weights @ row[rest]) / variance.sqrt()))


@pytest.mark.usefixtures("traced_once")
def test_the_density_looks_past_the_mix_of_labels() -> None:
    """Early in a training an update points where its labels do, which every record of those labels shares.

    Asked about another client, or about records that nobody holds, it finds nothing.
    """
    early = federation(rounds=20, epochs=1, learning_rate=0.1, label_noise=0.0, seed=1)
    density, _ = ATTACKS["update-density"]
    assert mean_area(density, early) > mean_area(ATTACKS["fedmia-ii"][0], early) + 0.05
    outside, wrong, null = early.owner < 0, [], []
    for client in range(10):
        scores = density.run(early.seen(client), KNOWN, RunContext()).scores
        other = early.owner == (client + 1) % 10
        wrong.append(area(scores[other | outside], other[other | outside]))
        halves = torch.rand(int(outside.sum()), generator=torch.Generator().manual_seed(client)) < 0.5
        null.append(area(scores[outside], halves))
    assert sum(wrong) / 10 < 0.53
    assert sum(null) / 10 == pytest.approx(0.5, abs=0.03)


def test_the_density_is_that_of_principal_components() -> None:
    """The closed form reproduces the covariance that the data were drawn with."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.linalg.qr(torch.randn(9, 2, generator=generator, dtype=torch.float64)).Q.T
    latent = torch.randn(20_000, 2, generator=generator, dtype=torch.float64) * torch.tensor([2.0, 1.0])
    rows = latent @ shared + 0.3 * torch.randn(20_000, 9, generator=generator, dtype=torch.float64)
    found = fitted(rows, components=2)
    assert found.noise == pytest.approx(0.09, rel=0.02)
    assert found.strengths.tolist() == pytest.approx([4.0, 1.0], rel=0.05)
    assert fitted(rows, components=99).shared.shape[0] == 3


def test_fedmia_bears_clients_that_miss_rounds() -> None:
    sparse = federation(cohort=5, rounds=8, epochs=1)
    for attack, _ in ATTACKS.values():
        assert attack.run(sparse.seen(0), KNOWN, RunContext()).scores.isfinite().all()


def test_source_inference_reaches_the_research(log: Federation) -> None:
    inside = log.owner >= 0
    seen = Rounds(log.rounds, log.candidates[inside], None, log.local)
    for rounds in ("all", "last"):
        found = SourceInference(SourceInference.Params(rounds=rounds)).run(seen, KNOWN, RunContext())
        (accuracy,) = measure_choices(found, log.owner[inside])
        assert accuracy.interval is not None
        assert accuracy.floor == pytest.approx(0.1)
        assert accuracy.interval.low > 0.25
        if rounds == "all":
            assert accuracy.value is not None
            assert accuracy.value >= 0.34


def test_cosines_equal_the_plain_ones(log: Federation) -> None:
    view = log.rounds[3]
    few = Rounds((view,), log.candidates[:5], 4, log.local)
    found = alignments(few, shared_model(), RunContext()).of(4)[0]
    model = FunctionalModel(shared_model())
    for i in range(5):
        gradient = model.gradient(view.before, few.candidates[i : i + 1])
        pair = [
            torch.cat([part[name].flatten() for name in model.parameter_names]) for part in (gradient, view.updates[4])
        ]
        assert found[i] == pytest.approx(-float(torch.cosine_similarity(*pair, dim=0)), abs=1e-5)


def test_chunks_do_not_matter(log: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Rounds(log.rounds[:1], log.candidates[:50], 0, log.local)
    whole = alignments(few, shared_model(), RunContext()).values
    monkeypatch.setattr(traces, "MEMORY", 70_000)
    torch.testing.assert_close(alignments(few, shared_model(), RunContext()).values, whole, atol=1e-5, rtol=1e-4)


def test_the_deadline_ends_the_log_early(log: Federation) -> None:
    few = Rounds(log.rounds[:5], log.candidates[:20], 0, log.local)
    assert len(local_losses(few, shared_model(), RunContext(deadline=0.0)).values) == 1


@pytest.mark.parametrize(("client", "words"), [(None, "names none"), (77, "took part in none")])
def test_an_unanswerable_question_is_said(log: Federation, client: int | None, words: str) -> None:
    with pytest.raises(AttackFailed, match=words):
        LossSeries(LossSeries.Params()).run(log.seen(client), KNOWN, RunContext())


def test_skew_alone_lets_attacks_find_the_client() -> None:
    """Under label skew a blind guess by label does almost as well: the attack must be read against it."""
    skewed = federation(alpha=0.3, rounds=5, epochs=1)
    areas = []
    for client in range(10):
        shares = torch.bincount(skewed.candidates.labels[skewed.owner == client], minlength=10).double()
        asked = (skewed.owner == client) | (skewed.owner < 0)
        blind: Tensor = shares[skewed.candidates.labels]
        areas.append(area(blind[asked], (skewed.owner == client)[asked]))
    assert sum(areas) / 10 > 0.65
