"""The typed schema of our recipe keys, which stand at the root of a recipe beside verl's.

``recipes/base.yaml`` holds the same defaults with their sources; a test keeps the two equal. Every dataclass is
frozen and holds plain Python values, so it can travel to Ray actors. Whether a combination of values makes sense is
decided in ``aflow_verl.checks``; here only names and types are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from aflow_verl.errors import RecipeError
from aflow_verl.schema import Locate, build, nowhere

RecipeKind = Literal["train", "search"]
Sampling = Literal["uniform", "best", "recent", "surprising"]
QSource = Literal["snapshot", "server"]
Programs = Literal["process", "monty", "remote"]
IsolationLevel = Literal["limits", "filtered", "confined", "isolated"]
Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

KEY_VARIABLES: Mapping[str, str] = MappingProxyType({"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"})
"""Kind of model -> the environment variable with its key, unless the recipe names another one."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """Where problems come from and how many each split holds. Splits are disjoint."""

    name: str
    """A name of ``benchmarks.catalog``."""
    tasks: tuple[str, ...] = ()
    """reasoning_gym: names of its tasks, mixed in equal shares."""
    path: str | None = None
    """The six benchmarks with data: a folder made by ``aflow-verl data prepare`` (train and validation problems come
    from its validation split, held-out ones from its test split), or one JSON-lines file that all three are drawn from.
    None: the folder that ``data prepare`` writes to by default."""
    train: int = 192
    """Problems that rewards are made from."""
    validation: int = 200
    """Problems that choose the best workflow."""
    heldout: int = 96
    """Problems graded once, at the end."""
    seed: int = 0
    """Draws the problems of the splits."""


@dataclass(frozen=True)
class StartConfig:
    """Where an episode starts, as probabilities that sum to 1; drawn for each row (group of sessions)."""

    snapshot: float = 0.5
    """On the shared tree."""
    root: float = 0.25
    """On the seed workflow alone."""
    random: float = 0.25
    """With a random node of the shared tree as root."""


@dataclass(frozen=True)
class EnvConfig:
    """One episode: a few edits of workflows, each graded on the row's problems."""

    action_format: str = "edit"
    """A name of ``env.factory.FORMATS``."""
    steps: int = 3
    """Edits in an episode, at most; one training row each."""
    problems: int = 48
    """Problems that child and parent are compared on; fixed for the row."""
    operators: tuple[str, ...] = ("Custom", "ScEnsemble", "Programmer")
    start: StartConfig = field(default_factory=StartConfig)
    invalid_penalty: float = 0.1
    """Taken from the step reward of an invalid action, before discounting (score units)."""
    returns: Literal["tree", "time"] = "tree"
    anchor: Literal["state", "state_and_steps_left"] = "state"
    max_workflow_steps: int = 3
    """Operator steps in a workflow that the edit format may build."""
    samples: tuple[int, ...] = (3,)
    """Sample counts that the edit format offers for a vote."""
    instructions: tuple[str, ...] = ()
    """Names from the built-in instruction library that the edit format offers; empty: all of them."""
    max_logs: int = 3
    """Failures of the parent shown in a ``code`` prompt (AFlow shows three)."""


@dataclass(frozen=True)
class SoftMixedConfig:
    """AFlow's selection rule; the numbers are those of its code."""

    sample: int = 4
    """Candidates: the seed and the best ``sample - 1`` others."""
    alpha: float = 0.2
    """Sharpness of the softmax over scores times 100."""
    lambda_: float = 0.3
    """Share of the uniform distribution."""


@dataclass(frozen=True)
class ScreenConfig:
    """Search with a trained policy and its critic: of several proposals only the most promising is run."""

    nodes: int = 5
    """Best workflows that proposals are asked for."""
    proposals: int = 4
    """Proposals that wait at each of them, at most."""
    epsilon: float = 0.1
    """Share of edits that are run unscreened, so that the critic is judged on more than its favourites."""


@dataclass(frozen=True)
class SearchConfig:
    """Which node is edited next, and how much the critic's Q has to say in it."""

    selector: str = "ucb"
    """A name of ``search.catalog.SELECTORS``."""
    rl_weight: float = 0.5
    """alpha in ``(1 - alpha) * UCB + alpha * Q`` at full confidence; 0 is search without Q."""
    c_ucb: float = 0.1
    """ucb, thompson: exploration, in units of a typical gain."""
    c_puct: float = 0.1
    """puct: the same."""
    trust_k: float = 20.0
    """k in ``rl_weight * confidence * sqrt(k / (3 n + k))``, edits of a candidate."""
    widening_k: float = 2.0
    """A node with N edits on and below it has at most ``widening_k * N ** widening_a`` children."""
    widening_a: float = 0.5
    q_source: QSource = "snapshot"
    """Value of a workflow made since the last export. snapshot: its nearest ancestor's V; server: the critic is asked,
    a copy of it that holds the weights of that export."""
    soft_mixed: SoftMixedConfig = field(default_factory=SoftMixedConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)


@dataclass(frozen=True)
class ModelConfig:
    """A model behind one of the clients in ``aflow_verl.models``."""

    kind: str = "local"
    """A name of ``models.catalog.KINDS``."""
    model: str = "smollm2-135m"
    """local: ``smollm2-135m`` or a model directory; anthropic, openai: the API's model name; rollout: ignored, it is
    the policy itself; simulated: the name of a landscape."""
    base_url: str | None = None
    """openai, anthropic: where the server is; None is the vendor's own."""
    key_variable: str | None = None
    """Environment variable with the API key; None: ANTHROPIC_API_KEY or OPENAI_API_KEY."""
    prompt_caching: bool = True
    """anthropic: let the API cache long prompts that calls share."""
    temperature: float = 0.0
    resample_temperature: float = 0.7
    """For the second and later identical calls of one run, so that a vote sees different samples."""
    max_tokens: int = 64
    max_batch: int = 32
    """local: requests decoded together."""
    concurrency: int = 64
    """Calls in flight, at most; fewer for a while after the server has said that it is too many."""
    device: Device = "auto"
    """local: ``auto`` is the GPU if there is one."""
    dtype: Dtype = "auto"
    """local: ``auto`` is bfloat16 where the hardware multiplies it, else float32."""
    timeout_s: float = 120.0
    """Of one try."""
    retries: int = 10
    """Tries after a failure that can pass: where three tries in ten fail, one call in 500,000 fails (0.3^11). The wait
    doubles from ``backoff_s``, or is what the server asks for."""
    backoff_s: float = 1.0
    patience_s: float = 600.0
    """How long calls wait for a server that is down (the circuit is open) before they fail."""
    seed: int = 0


@dataclass(frozen=True)
class ModelsConfig:
    """The models besides policy and critic, which are verl's ``actor_rollout_ref.model`` and ``critic.model``."""

    executor: ModelConfig = field(default_factory=ModelConfig)
    """The frozen model inside the workflows."""
    editor: ModelConfig = field(
        default_factory=lambda: ModelConfig(kind="anthropic", model="claude-sonnet-5-5", max_tokens=4096)
    )
    """Writes the code that a policy asks for in words; used with ``env.action_format: suggest`` only."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How workflows are graded outside of rewards, and what happens when the infrastructure fails."""

    candidates_per_step: int = 2
    """Workflows that challenge the best one on validation problems after each training step."""
    confidence: float = 0.95
    """Level of every reported interval."""
    retries: int = 5
    """How often a run is made again, after the sandbox failed or the model's client gave up, before it is missing."""
    backoff_s: float = 1.0
    """Wait before the first retry, doubled each time."""


@dataclass(frozen=True)
class SandboxConfig:
    """Limits of one workflow or program run."""

    workers: int = 96
    """Workflows in flight, at most; half as many again as calls, so that a call is ready whenever one ends."""
    seconds: float = 5.0
    """Computing time; waiting for operator calls is not counted."""
    memory_mb: int = 64
    max_output_chars: int = 10_000
    programs: Programs = "process"
    """Where programs of the operators Programmer and Test and the answers of code benchmarks run: ``process`` (CPython
    in a jail, Linux), ``monty`` (a small interpreter; everywhere, no code benchmarks) or ``remote`` (``url``)."""
    program_workers: int = 2
    """Programs in flight, at most."""
    program_seconds: float = 5.0
    """Wall time of one program."""
    program_memory_mb: int = 256
    """Memory of one program, beside the interpreter's own."""
    minimum_level: IsolationLevel = "confined"
    """process: refuse to start where the kernel offers less isolation than this (docs/sandboxes.md)."""
    url: str | None = None
    """remote: endpoint of the SandboxFusion kind, such as http://localhost:8080."""


@dataclass(frozen=True)
class BudgetConfig:
    """What a run may spend on API models in all, resumes included. It stops before a call that could cross it."""

    usd: float | None = None
    """Dollars. Refused for a model whose price is unknown."""
    calls: int | None = None
    """Calls that a model really answers; cached replies are free."""


@dataclass(frozen=True)
class StoreConfig:
    """Where the tree is kept."""

    path: str = "tree.sqlite"
    """A SQLite file; relative paths lie in the run directory."""
    url: str | None = None
    """In its place: a database that several runs may share, ``postgresql://user@host/database`` or
    ``sqlite:////path/of/a/file``."""


@dataclass(frozen=True)
class ExperienceConfig:
    """What of earlier episodes is used again, beside the tree and the prompts."""

    sampling: Sampling = "uniform"
    """Which: rows for the critic's replay, and the workflow that an episode with the start ``random`` stands on."""
    replay_fraction: float = 0.0
    """Rows of earlier episodes in each update of the critic, as a share of the step's own; never for the policy."""
    replay_rows: int = 2048
    """The newest rows that may be replayed."""


@dataclass(frozen=True)
class TrainedConfig:
    """``aflow-verl search`` with what a training has left: its policy writes the edits, its critic weighs in."""

    run: str | None = None
    """Run directory of a training, one of its checkpoints (``RUN_DIR/checkpoints/global_step_N``), or a directory
    written by ``aflow-verl export-checkpoint``. None: ``models.editor`` writes the edits."""
    step: int | None = None
    """Of a run directory; None: the newest whole checkpoint at the first start."""
    temperature: float | None = None
    """Of the policy's replies; None: as in its training."""
    max_batch: int = 8
    """Replies written together."""
    device: Device = "auto"
    """``auto`` is the GPU if there is one."""
    dtype: Dtype = "auto"
    """``auto`` is bfloat16 where the hardware multiplies it, else float32."""


@dataclass(frozen=True)
class StandaloneConfig:
    """``aflow-verl search``: the search without training."""

    rounds: int = 20
    """Edits in all."""
    race: bool = True
    """Grade a new workflow on ever more validation problems, for as long as it may be the best one. False: on all of
    them, as in AFlow."""
    workers: int = 1
    """Rounds under way at a time. One: every choice knows all rounds before it, and a search repeats exactly."""
    redraws: int = 3
    """How often an edit that brings nothing new, or can't be read, is asked for again within its round."""
    repairs: int = 1
    """How often within a round a model is shown its workflow again with the error that a run on a stub executor ended
    with. A policy has learned no such prompt, and is not asked."""
    convergence: bool = False
    """Stop by AFlow's rule: the mean of the three best rounds has not moved for five rounds."""
    convergence_z: float = 0.0
    """By how many standard errors that mean may move and still count as standing still."""
    trained: TrainedConfig = field(default_factory=TrainedConfig)


@dataclass(frozen=True)
class HealthConfig:
    """What happens when a line of health is dead (``aflow_verl.health``, docs/health.md)."""

    patience: int = 5
    """Consecutive training steps after which a dead line is said aloud."""
    on_dead: Literal["warn", "stop"] = "warn"
    """warn: one loud line; stop: the run ends there, after a checkpoint, with a non-zero exit code."""


@dataclass(frozen=True)
class GigpoConfig:
    """``algorithm.gigpo``; the discount is verl's own ``algorithm.gamma``."""

    omega: float = 1.0
    """Weight of the step advantage beside the episode advantage; 0 leaves the episode advantage alone."""
    norm: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    singletons: Literal["group", "zero"] = "group"
    """What an edit is compared with whose state nobody else edited: the valid edits of its row, or nothing (paper)."""


@dataclass(frozen=True)
class AflowConfig:
    """Everything a recipe says that verl does not know."""

    benchmark: tuple[BenchmarkConfig, ...]
    kind: RecipeKind = "train"
    """What runs it: ``aflow-verl train``, or ``aflow-verl search``, which knows none of verl's keys."""
    seed: int = 0
    """Seeds every random choice of ours, verl's data order excepted (``data.seed``)."""
    run_dir: str | None = None
    env: EnvConfig = field(default_factory=EnvConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    experience: ExperienceConfig = field(default_factory=ExperienceConfig)
    standalone: StandaloneConfig = field(default_factory=StandaloneConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    gigpo: GigpoConfig = field(default_factory=GigpoConfig)

    @property
    def asks_editor(self) -> bool:
        """Whether ``models.editor`` is used: where no policy edits, and for what a policy suggests in words."""
        has_policy = self.kind == "train" or self.standalone.trained.run is not None
        return not has_policy or self.env.action_format == "suggest"


ROOT_KEYS = (
    "kind",
    "seed",
    "run_dir",
    "benchmark",
    "env",
    "search",
    "models",
    "evaluation",
    "sandbox",
    "budget",
    "store",
    "experience",
    "standalone",
    "health",
)
"""Our keys at the root of a recipe; all other root keys are verl's."""


def from_config(config: DictConfig, locate: Locate = nowhere) -> AflowConfig:
    """Read our keys out of a composed recipe.

    ``locate`` names the file and line that a dotted key was set in, for messages. Raises ``RecipeError`` for an
    unknown key, a wrong type, or a benchmark without a name.
    """
    values = {key: _plain(config, key) for key in ROOT_KEYS if key in config}
    given = values.pop("benchmark", None)
    # Built beside the rest, because its place in a recipe is verl's ``algorithm`` section.
    gigpo = build(GigpoConfig, _plain(config, "algorithm.gigpo") or {}, "algorithm.gigpo", locate)
    rest = build(AflowConfig, {**values, "gigpo": gigpo, "benchmark": ()}, "", locate)
    return replace(rest, benchmark=_benchmarks(given, locate))


def _plain(config: DictConfig, key: str) -> Any:
    node = OmegaConf.select(config, key)
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _benchmarks(value: Any, locate: Locate) -> tuple[BenchmarkConfig, ...]:
    entries = [("benchmark", value)] if not isinstance(value, list) else _numbered(value)
    if not entries or value is None:
        raise RecipeError(
            f"{locate('benchmark')}: benchmark: none given; set benchmark.name, for example reasoning_gym"
        )
    for key, entry in entries:
        if isinstance(entry, Mapping) and entry.get("name") is None:
            raise RecipeError(
                f"{locate(key)}: {key}.name: missing; name a benchmark, for example gsm8k or reasoning_gym"
            )
    return tuple(build(BenchmarkConfig, entry, key, locate) for key, entry in entries)


def _numbered(entries: list[Any]) -> list[tuple[str, Any]]:
    return [(f"benchmark[{i}]", entry) for i, entry in enumerate(entries)]
