"""The user's ``audit.yaml`` as typed, frozen settings; every default has its reason beside it."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from auditor.core.shape import Modality, Task

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, finite numbers only.

    A number or ``true`` where a name is meant (a column called ``3``) is taken as text; ``true`` where a number
    is meant is refused; one name where a list of names is meant is a list of one.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _written_plainly(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        allowed = _types_in(annotation)
        if isinstance(value, bool) and bool not in allowed and str in allowed:
            return str(value).lower()
        if isinstance(value, bool) and bool not in allowed and allowed & {int, float}:
            raise ValueError(f"must be a number; received {str(value).lower()}")
        if isinstance(value, str) and annotation == tuple[str, ...]:
            return (value,)
        return value


def _types_in(annotation: Any) -> set[Any]:
    return {annotation}.union(*(_types_in(inner) for inner in get_args(annotation) if not isinstance(inner, str)))


class OrganisationSettings(Settings):
    """What people declare; printed as declared, never inferred."""

    controller: str | None = None
    data_category: Literal["public", "ordinary", "sensitive", "special_category"]
    subjects: Count | None = Field(None, description="People in the training data; needed for exposure figures.")
    membership_is_sensitive: bool | None = Field(
        None, description="Does being in the data already say something about a person?"
    )
    vulnerable_people: bool | None = None


class AuditSection(Settings):
    """What is audited, why, and who declares what."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**53)] = Field(0, description="All randomness of the run follows from it.")
    release_context: Literal["internal", "partners", "public"]
    organisation: OrganisationSettings


class NormaliseSettings(Settings):
    """Per-channel standardisation that the model expects: (value - mean) / std, values scaled to [0, 1] first."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    std: Annotated[tuple[Positive, ...], Field(min_length=1)]


class SplitSettings(Settings):
    """Which records form a split: the value of a split column or array, or a number of records to draw."""

    split: str | int | None = None
    count: Count | None = None


class DataSettings(Settings):
    """Where the sample data is and which part of it plays which role."""

    path: str = Field(description=".npz | .csv[.gz] | .parquet | .jsonl[.gz] | a folder of images, or package data")
    inputs: str | tuple[str, ...] | None = Field(
        None, description="Array name, column list (all but the label when absent), or text field."
    )
    labels: str | None = Field(None, description="Array or column of labels; not needed for language models.")
    split_by: str | None = Field(None, description="Array or column that `split` values refer to; default: 'split'.")
    categorical: tuple[str, ...] = Field((), description="Columns to one-hot encode; text columns always are.")
    normalise: NormaliseSettings | Literal["standardise"] | None = Field(
        None, description="Channel constants, or 'standardise' to use the population split's mean and std."
    )
    tokenizer: str | None = Field(None, description="FILE.py:callable from text to a list of token ids (text only).")
    max_tokens: Count | None = Field(None, description="Longer texts are cut, shorter ones padded with id 0.")
    members: SplitSettings | None = Field(None, description="Required for membership on given weights.")
    nonmembers: SplitSettings | None = None
    population: SplitSettings | None = Field(None, description="What an adversary may hold of the same kind.")


class PriorSettings(Settings):
    """A generative model of records that an adversary may have, beside the one that the tool trains."""

    decoder: str = Field(description="FILE.py:callable | package.module:callable | decoder.pt2 (torch.export)")
    latent: Count = Field(description="Numbers in a latent; the decoder reads (n, latent), standard normal.")


class TargetSettings(Settings):
    """The user's model and data."""

    model: str = Field(description="FILE.py:callable | package.module:callable | model.pt2 (torch.export)")
    weights: str | None = Field(None, description="The deployed weights: .safetensors, .pt or .npz.")
    task: Task = Task.CLASSIFICATION
    modality: Modality
    loss: str = Field("default", description="cross_entropy | mse | FILE.py:callable; default follows from the task.")
    data: DataSettings
    prior: PriorSettings | None = Field(None, description="A decoder for inversion/generative-prior.")


class ParticipationSettings(Settings):
    """Which clients take part in a round."""

    scheme: Literal["full", "poisson", "fixed_size"] = "full"
    rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    count: Count | None = None


class LocalSettings(Settings):
    """What a client does between receiving the model and sending its update."""

    epochs: Count = 1
    batch_size: Count = 16
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: Positive = 0.05
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    proximal: Annotated[float, Field(ge=0.0)] = Field(0.0, description="FedProx mu.")


class PartitionSettings(Settings):
    """How records are spread over clients."""

    scheme: Literal["iid", "dirichlet", "by_column"] = "iid"
    alpha: Positive | None = None
    column: str | None = None


class SecureAggregationSettings(Settings):
    """The server sees only the sum of a round."""

    enabled: bool = False
    threshold: Count | None = None
    dropout: Fraction = 0.0


class AggregationSettings(Settings):
    """How the server combines updates."""

    rule: Literal["mean", "median", "trimmed_mean", "krum"] = "mean"
    secure: SecureAggregationSettings = SecureAggregationSettings()


class UpdateSettings(Settings):
    """What of the update leaves the client."""

    quantise_bits: Annotated[int, Field(ge=1, le=16)] | None = None
    top_k: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(None, description="Fraction of coordinates kept.")
    prune: Annotated[float, Field(ge=0.0, lt=1.0)] | None = Field(None, description="Fraction of coordinates zeroed.")
    layers: Literal["all"] | tuple[str, ...] = "all"


class FederationSettings(Settings):
    """The federation as it runs."""

    algorithm: Literal["fedsgd", "fedavg", "fedprox"]
    clients: Count = 10
    participation: ParticipationSettings = ParticipationSettings()
    rounds: Count = 20
    local: LocalSettings = LocalSettings()
    partition: PartitionSettings = PartitionSettings()
    batch_norm: Literal["train", "eval", "frozen"] = "train"
    aggregation: AggregationSettings = AggregationSettings()
    update: UpdateSettings = UpdateSettings()
    defences: tuple[str | dict[str, Any], ...] = ()


class ClippingSettings(Settings):
    """Bound on each unit's contribution."""

    norm: Positive
    kind: Literal["flat", "per_layer", "adaptive"] = "flat"
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    count_noise: Annotated[float, Field(ge=0.0)] | None = None


class OverrideSettings(Settings):
    """Accounting inputs that do not follow from federation and data, with the reason why."""

    steps: Count | None = None
    sampling_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    records: Count | None = Field(None, description="Records (or clients) in the real deployment.")
    records_per_client: Count | None = Field(None, description="Records of one person, for record-level DP.")
    honest_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    tuning_runs: Count | None = None
    reason: Annotated[str, Field(min_length=1)]


class PracticeSettings(Settings):
    """What people say about the code and the process around it; what is left out is reported as not checked."""

    clipping_per: Literal["unit", "microbatch", "batch"] | None = Field(
        None, description="What is clipped: each protected unit, a microbatch of several, or a whole batch."
    )
    divisor: Literal["constant", "actual_batch", "private_count"] | None = Field(
        None, description="What a noisy sum is divided by."
    )
    accounted_adjacency: Literal["add_or_remove", "replace_one", "zero_out"] | None = Field(
        None, description="The adjacency that the claimed figure was computed under."
    )
    accountant: Literal["rdp", "pld", "prv", "opacus_prv", "prv_estimate", "gdp_clt", "closed_form"] | None = Field(
        None, description="How the claimed figure was computed."
    )
    tuned_on_private: bool | None = Field(
        None, description="Settings, early stopping or architecture were chosen on the same private data."
    )
    private_preprocessing: tuple[str, ...] | None = Field(
        None, description="Steps that touch private data without noise (vocabulary, normalisation, selection)."
    )
    secure_random: bool | None = Field(None, description="Noise comes from a cryptographic generator without a seed.")
    seeds_shared: bool | None = Field(None, description="Clients reuse one seed.")
    releases: tuple[str, ...] | None = Field(
        None, description="What is published besides the model after each round; [] for nothing."
    )
    claims_anonymous: bool | None = Field(None, description="Documents call the result anonymous.")
    other_models: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Other models or releases trained on the same people."
    )


class PrivacySettings(Settings):
    """The declared privacy mechanism. Unit, adjacency and sampling are never guessed."""

    mechanism: Literal["none", "dp_sgd", "dp_fedavg", "local", "distributed", "dp_ftrl"]
    protects: Literal["record", "client"] | None = None
    adjacency: Literal["add_or_remove", "replace_one", "zero_out"] | None = None
    noise_multiplier: Annotated[float, Field(ge=0.0)] | None = Field(
        None, description="Noise standard deviation on the sum, in units of the clipping norm."
    )
    clipping: ClippingSettings | None = None
    clipping_norm: Positive | None = Field(None, description="Short for clipping: {norm: ...}.")
    sampling: Literal["poisson", "shuffled", "fixed_size", "full"] | None = Field(
        None, description="What the code really does with the protected unit."
    )
    delta: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    claimed_epsilon: Annotated[float, Field(ge=0.0)] | None = Field(None, description="What the documents say.")
    override: OverrideSettings | None = None
    practice: PracticeSettings = PracticeSettings()

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return with_clipping(value) if isinstance(value, dict) else value


def with_clipping(privacy: dict[str, Any]) -> dict[str, Any]:
    """The block with ``clipping_norm: 1.0`` written out as ``clipping: {norm: 1.0}``; one definition, no copies."""
    if privacy.get("clipping_norm") is None or privacy.get("clipping") is not None:
        return privacy
    rest = {key: value for key, value in privacy.items() if key != "clipping_norm"}
    return {**rest, "clipping": {"norm": privacy["clipping_norm"]}}


class SweepSettings(Settings):
    """What if: the same attacks on rounds played with other values of one setting; never part of a verdict."""

    setting: Literal[
        "federation.clients",
        "federation.local.epochs",
        "federation.local.batch_size",
        "federation.local.learning_rate",
        "federation.local.momentum",
        "federation.partition.alpha",
        "federation.update.quantise_bits",
        "federation.update.top_k",
        "federation.update.prune",
        "privacy.noise_multiplier",
        "privacy.clipping.norm",
    ] = Field(description="The setting to vary.")
    values: Annotated[tuple[int | float, ...], Field(min_length=1, max_length=12)] = Field(
        description="The values to try; the value of the audit itself is added."
    )
    scenario: str = Field("honest-server", description="The adversary that attacks.")
    attacks: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Attacks on updates, by name; cheap ones give a curve in seconds."
    )
    privacy: PrivacySettings | None = Field(
        None, description="A mechanism to try instead of the audit's, e.g. noise where there is none yet."
    )


class EpsilonAuditSettings(Settings):
    """The measured counterpart of the accounted epsilon: the mechanism played with canaries."""

    enabled: bool = Field(True, description="Runs wherever privacy declares a mechanism with a finite epsilon.")
    canaries: Annotated[int, Field(ge=100)] | None = Field(
        None, description="More show more; default: 10,000, fewer where a game of 1,000 takes long."
    )
    code: str | None = Field(
        None,
        description="Your own private step, FILE.py:callable(contributions, step) -> what is released; default: the "
        "mechanism as simulated.",
    )


class BudgetSettings(Settings):
    """How much the run may use."""

    minutes: Positive = Field(
        30.0,
        description="After these minutes nothing more is begun, and attacks end at their next step. The training of "
        "the audited model, a stack of reference models that has begun, and the report are not cut, so a run may take "
        "longer.",
    )
    memory: Positive | None = Field(
        None, description="GiB that all workers of this machine may use together; default: what the machine has."
    )
    updates: Count | None = Field(
        None,
        description="Updates that each reconstruction attack is tried on; default: more where the attack is cheap.",
    )


class ComputeSettings(Settings):
    """Where the run computes."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    executor: Literal["serial", "processes", "ray"] = "serial"
    workers: Count | None = None
    vectorise: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Independent problems as one tensor program: 'auto' measures once for a run folder; the two ways "
        "round differently, so fix one to compare folders bit for bit.",
    )


class ReportSettings(Settings):
    """What is rendered."""

    controls: tuple[str, ...] = ("gdpr", "eu_ai_act", "iso_42001")
    audience: Literal["dpia"] = "dpia"
    formats: tuple[Literal["html", "pdf"], ...] = ("html", "pdf")
    language: Literal["en"] = "en"
    decisions: str | None = Field(
        None, description="File of accepted findings and overrides, signed by name; `auditor decide RUN` starts one."
    )


class AuditSettings(Settings):
    """The whole file."""

    audit: AuditSection
    target: TargetSettings
    federation: FederationSettings
    privacy: PrivacySettings
    scenarios: Annotated[tuple[str, ...], Field(min_length=1)] = ("honest-server", "released-model")
    attacks: Literal["default", "all"] | tuple[str, ...] = "default"
    parameters: dict[str, dict[str, Any]] = Field({}, description="Attack name to the parameters that differ.")
    sweeps: tuple[SweepSettings, ...] = Field((), description="Curves of leakage over the values of a setting.")
    epsilon_audit: EpsilonAuditSettings = EpsilonAuditSettings()
    trainings: Annotated[int, Field(ge=1, le=50)] = Field(
        1,
        description="Independent trainings of the target that attacks on the released model are tried on; with 1, "
        "intervals cover the records and not another training.",
    )
    budget: BudgetSettings = BudgetSettings()
    compute: ComputeSettings = ComputeSettings()
    report: ReportSettings = ReportSettings()
