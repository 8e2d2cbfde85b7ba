"""Settings by which a run ends with exit code 0 and has learned, found or shown nothing: each is refused or named."""

from __future__ import annotations

import copy
import json
import math
from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from aflow_verl.checks import optimiser
from aflow_verl.checks.catalog import CHECKS, SEARCH_CHECKS, refuse, run_checks
from aflow_verl.checks.finding import Finding
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.optimiser import CRITIC, POLICY
from aflow_verl.checks.telling import check
from aflow_verl.config import from_config
from aflow_verl.errors import RecipeError
from aflow_verl.recipe.load import Recipe, load_recipe, usual
from aflow_verl.recipe.origins import Origins
from aflow_verl.recipe.search_recipe import load_search_recipe
from aflow_verl.recipe.strict import check_kinds
from aflow_verl.recipe.verl_schema import read_schema
from aflow_verl.recipe.verl_values import check_values

RECIPES = Path(__file__).parents[2] / "recipes"
PLANNED = Machine(8, 80.0, assumed=True)
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


@cache
def standing(name: str) -> Recipe:
    if name.startswith("search"):
        return load_search_recipe(RECIPES / f"{name}.yaml", [])
    return load_recipe(RECIPES / f"{name}.yaml", [])


def variation(name: str, overrides: tuple[str, ...]) -> Recipe:
    """The recipe with other values, as ``load_recipe`` would read them, without composing verl's files again."""
    recipe = standing(name)
    config = copy.deepcopy(recipe.config)
    OmegaConf.set_struct(config, False)
    given = dict(override.split("=", 1) for override in overrides)
    for key, text in given.items():
        value = {"nan": math.nan, "inf": math.inf}.get(text, yaml.safe_load(text))
        OmegaConf.update(config, key, float(text) if isinstance(value, str) and text[:1].isdigit() else value)
    origins = Origins(recipe.origins.recipe, {}, "", {}, {key: f"{key}={text}" for key, text in given.items()})
    check_kinds(config, standing("qwen7b").config, read_schema(), ("kind", "seed"), origins.locate)
    if not name.startswith("search"):
        check_values(config, origins.locate)
    ours = from_config(config, origins.locate)
    return Recipe(recipe.path, recipe.name, overrides, config, ours, recipe.run_dir, origins)


def judged(name: str, *overrides: str) -> list[str]:
    """Lines of the warnings. Raises RecipeError for what is refused."""
    recipe = variation(name, overrides)
    findings: list[Finding] = []
    for _, found in run_checks(recipe, PLANNED, SEARCH_CHECKS if name.startswith("search") else CHECKS):
        findings += found
    refuse(recipe, [finding for finding in findings if finding.kind == "error"])
    return [finding.line(recipe) for finding in findings if finding.kind == "warning"]


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "base"))
def test_no_recipe_of_ours_is_warned_of(name: str) -> None:
    assert judged(name) == []


POLICY_STANDS = "the policy will not be trained"
CRITIC_STANDS = "the critic will not be trained"
ALIKE = "all sessions of a row reply alike"
LUCK = "a difference of two workflows has a standard error of"
FAILS = "every workflow fails or scores 0"

NAMED: dict[str, str] = {
    # override of the quickstart (4 steps, 2 rows of 3 sessions of 2 edits): what is said
    f"{ACTOR}.optim.lr=0": f"{POLICY_STANDS}: {ACTOR}.optim.lr is 0 (override '{ACTOR}.optim.lr=0'); set it to",
    f"{ACTOR}.optim.lr=0.0": f"{POLICY_STANDS}: {ACTOR}.optim.lr is 0",
    f"{ACTOR}.optim.lr=1e-300": f"{POLICY_STANDS}: an update moves a weight by 1e-300 at most, and fp32 rounds that",
    f"{ACTOR}.optim.lr=1e-12": f"{POLICY_STANDS}: an update moves a weight by 1e-12 at most",
    f"{ACTOR}.optim.lr=2e-9": f"{POLICY_STANDS}: all its updates together move a weight by 8e-07 of its size at most",
    f"{ACTOR}.optim.lr=1000.0": "an update changes the policy's weights by more than their size",
    f"{ACTOR}.optim.clip_grad=0": f"{POLICY_STANDS}: {ACTOR}.optim.clip_grad is 0: every gradient is cut",
    f"{ACTOR}.optim.clip_grad=1e-12": f"{ACTOR}.optim.clip_grad is 1e-12",
    f"{ACTOR}.optim.grad_clip=0": f"{POLICY_STANDS}: {ACTOR}.optim.grad_clip is 0",
    f"{ACTOR}.optim.override_optimizer_config={{lr: 0.0}}": f"{ACTOR}.optim.override_optimizer_config.lr is 0",
    f"{ACTOR}.optim.override_optimizer_config={{eps: 1.0e+9}}": "override_optimizer_config.eps is 1e+09, far above",
    f"{ACTOR}.optim.weight_decay=1e6": "weight decay takes 1000% of the policy's weights in an update",
    f"{ACTOR}.optim.lr_warmup_steps=1000": "the policy will never be trained with more than 0.003 of its learning rate",
    f"{ACTOR}.optim.lr_warmup_steps=4": "a warm-up as long as the 4 steps of the run, or longer",
    f"{ACTOR}.optim.lr_warmup_steps_ratio=1": "optim.lr_warmup_steps_ratio is 1: a warm-up as long as",
    f"{ACTOR}.fsdp_config.model_dtype=bf16": "an update moves a weight by 1e-05 at most, and bf16 rounds that away",
    f"{ACTOR}.clip_ratio_high=0": "the policy will hardly be trained: no reply can become more than 0 likelier",
    f"{ACTOR}.clip_ratio_low=1e-9": "no reply can become more than 1e-09 less likely in a step",
    f"{ACTOR}.clip_ratio=0": "clip_ratio has no effect: ",
    f"{ACTOR}.entropy_coeff=1000": "the policy is trained to reply at random, whatever its edits gain",
    f"{ACTOR}.entropy_coeff=-1000": "the policy is trained to reply alike, whatever its edits gain",
    f"{ACTOR}.kl_loss_coef=1e9": f"kl_loss_coef is 1000000000.0, and {ACTOR}.use_kl_loss is false",
    "algorithm.kl_ctrl.kl_coef=1e9": "kl_ctrl.kl_coef has no effect: ",
    "algorithm.lam=0.0": "GiGPO has no lambda",
    f"{ACTOR}.grad_clip=0": f"gradients are cut at {ACTOR}.optim.clip_grad",
    f"{ACTOR}.freeze_vision_tower=true": "the policy is a language model",
    f"{ROLLOUT}.do_sample=false": "episodes are sampled at",
    "trainer.critic_warmup=5": f"{POLICY_STANDS}: trainer.critic_warmup is 5, and the run has 4 steps",
    "trainer.critic_warmup=4": "the policy will be trained in only 1 of 4 steps",
    "critic.optim.lr=0": f"{CRITIC_STANDS}: critic.optim.lr is 0",
    "critic.optim.lr=1e-300": f"{CRITIC_STANDS}: an update moves a weight by 1e-300 at most",
    "critic.optim.clip_grad=0": f"{CRITIC_STANDS}: critic.optim.clip_grad is 0",
    "critic.optim.lr_warmup_steps=1000000": "the critic will never be trained with more than 3e-06 of its",
    "critic.cliprange_value=0": "the critic will hardly be trained: clipping lets its values move by about 0 in",
    "critic.cliprange_value=1e-300": "the critic will hardly be trained",
    "critic.fsdp.model_dtype=bf16": "the critic will not be trained: an update moves a weight by 1e-05 at most",
    "trainer.save_freq=-1": "nothing that policy and critic learn is kept",
    "trainer.save_freq=0": "nothing that policy and critic learn is kept",
    f"{ACTOR}.checkpoint.save_contents=[optimizer]": "the policy's weights are not kept",
    "algorithm.gamma=0": "no edit is credited for what later edits make of its workflow: algorithm.gamma is 0",
    "algorithm.gamma=1e-300": "no edit is credited",
    "algorithm.gigpo.omega=0": "GRPO on whole episodes, not GiGPO: algorithm.gigpo.omega is 0",
    "algorithm.gigpo.omega=1e9": "the returns of episodes hardly count",
    "env.invalid_penalty=0": "an invalid reply costs nothing",
    f"{ROLLOUT}.temperature=1e-300": ALIKE,
    f"{ROLLOUT}.temperature=0.01": ALIKE,
    f"{ROLLOUT}.temperature=1e9": "the policy replies at random",
    f"{ROLLOUT}.top_p=0": ALIKE,
    f"{ROLLOUT}.top_p=1e-9": ALIKE,
    "search.rl_weight=1e-300": "Q can't change a choice",
    "search.trust_k=1e-9": "Q is heard on workflows without an edit only",
    "search.widening_k=0.001": "no workflow gets a second child, not even after 48 edits",
    "evaluation.candidates_per_step=0": "no workflow ever challenges the seed",
    "env.problems=1": f"an edit's reward is luck: on 1 problem {LUCK} 0.24",
    "benchmark.validation=1": f"the best workflow is chosen by luck: on 1 problem {LUCK} 0.24",
    "benchmark.validation=2": f"on 2 problems {LUCK} 0.17",
    "benchmark.heldout=1": "the comparison at the end says nothing",
    "models.executor.max_tokens=1": FAILS,
    "sandbox.seconds=1e-300": FAILS,
    "sandbox.memory_mb=1": FAILS,
}

NAMED_TOGETHER: dict[str, tuple[str, tuple[str, ...], str]] = {
    # case: (recipe, overrides, what is said)
    "KL": (
        "quickstart",
        (
            f"{ACTOR}.use_kl_loss=true",
            f"{ACTOR}.kl_loss_coef=1e9",
            "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=6",
        ),
        "the policy is held where it began: an edit that gains 10 points gets 1 times as likely",
    ),
    "a loss that is divided by": (
        "quickstart",
        (f"{ACTOR}.loss_agg_mode=seq-mean-token-sum-norm", f"{ACTOR}.loss_scale_factor=1000000000000"),
        f"{ACTOR}.loss_scale_factor is 1000000000000, which the loss is divided by (override",
    ),
    "SGD at Adam's learning rate": ("quickstart", (f"{ACTOR}.optim.optimizer=SGD",), POLICY_STANDS),
    "cosine warm-up": (
        "quickstart",
        (f"{ACTOR}.optim.lr_scheduler_type=cosine", f"{ACTOR}.optim.lr_warmup_steps=100"),
        "never be trained with more than 0.03 of its learning rate",
    ),
    "a warm-up in the only step": (
        "quickstart",
        ("trainer.total_training_steps=1", f"{ACTOR}.optim.lr_warmup_steps=1"),
        f"{POLICY_STANDS}: its learning rate stays 0",
    ),
    "adapters that count nothing": (
        "qwen7b",
        ("actor_rollout_ref.model.lora_rank=8", "actor_rollout_ref.model.lora_alpha=0"),
        f"{POLICY_STANDS}: actor_rollout_ref.model.lora_alpha is 0 at a rank of 8",
    ),
    "adapters nowhere": (
        "qwen7b",
        ("actor_rollout_ref.model.lora_rank=8", "actor_rollout_ref.model.target_modules=[]"),
        "target_modules names no module for an adapter",
    ),
    "both sides of the clip": (
        "quickstart",
        (f"{ACTOR}.clip_ratio=0", f"{ACTOR}.clip_ratio_low=null", f"{ACTOR}.clip_ratio_high=null"),
        f"{ACTOR}.clip_ratio is 0",
    ),
    "greedy vLLM": ("qwen7b", (f"{ROLLOUT}.top_k=1",), ALIKE),
    "starts at the seed": (
        "quickstart",
        ("env.start.root=1", "env.start.snapshot=0", "env.start.random=0"),
        "the shared tree is never used: every episode begins at the seed, and Q steers none of them: env.start.root",
    ),
    "starts all but at the seed": (
        "quickstart",
        ("env.start.root=0.999999", "env.start.snapshot=0.000001", "env.start.random=0"),
        "the shared tree is never used",
    ),
    "starts at random": (
        "quickstart",
        ("env.start.root=0", "env.start.snapshot=0", "env.start.random=1"),
        "the selector never chooses on the shared tree",
    ),
    "exploration of UCT": ("quickstart", ("search.selector=ucb", "search.c_ucb=1e9"), "scores and Q do not count"),
    "exploration of PUCT": ("quickstart", ("search.selector=puct", "search.c_puct=100"), "scores and Q do not count"),
    "exploration of nobody": (
        "quickstart",
        ("search.selector=ucb", "search.c_puct=1e9"),
        "search.c_puct has no effect: search.c_puct is 1000000000.0, and search.selector is another one",
    ),
    "a flat soft_mixed": (
        "search_only",
        ("search.soft_mixed.lambda_=1",),
        "scores do not count in the search: a lead of 10 points makes a choice 0 likelier: search.soft_mixed.lambda_",
    ),
    "a blunt soft_mixed": ("search_only", ("search.soft_mixed.alpha=1e-300",), "search.soft_mixed.alpha is 1e-300"),
    "no screening": (
        "search_trained",
        ("search.screen.epsilon=1",),
        "the critic screens no edit: search.screen.epsilon is 1: the share that is run unscreened",
    ),
    "one proposal": (
        "search_trained",
        ("search.screen.nodes=1", "search.screen.proposals=1"),
        "the critic screens no edit: search.screen.proposals is 1, on 1 workflows",
    ),
    "exploration of a greedy search": ("quickstart", ("search.selector=greedy", "search.c_ucb=1e9"), "has no effect"),
    "one training problem": (
        "quickstart",
        ("env.problems=1", "benchmark.train=1"),
        "learns one problem or two by heart",
    ),
    "a search on one problem": ("search_only", ("benchmark.validation=1",), "the best workflow is chosen by luck"),
    "an editor without words": ("search_only", ("models.editor.max_tokens=1",), "no edit can be written"),
    "one edit": (
        "quickstart",
        ("env.operators=[Custom]", "env.instructions=[check]", "env.samples=[]", "env.max_workflow_steps=1"),
        "of the seed to choose from",
    ),
    "more replayed than kept": (
        "quickstart",
        ("experience.replay_fraction=1", "experience.replay_rows=1"),
        "a step replays at most 1 rows, and 12 are asked for",
    ),
    "a critic from the hub": (
        "qwen7b",
        ("critic.model.path=meta-llama/Llama-3.2-1B",),
        "nobody has checked that the critic reads the tokens that the policy's tokenizer writes: critic.model.path",
    ),
}

REFUSED: dict[str, tuple[str, tuple[str, ...], str]] = {
    # case: (recipe, overrides, what is said)
    **{
        f"{key}={value}": ("quickstart", (f"{key}={value}",), f"{key}: ")
        for key in (
            f"{ACTOR}.optim.lr",
            f"{ACTOR}.optim.clip_grad",
            f"{ACTOR}.optim.lr_warmup_steps_ratio",
            f"{ACTOR}.optim.weight_decay",
            f"{ACTOR}.clip_ratio_high",
            f"{ACTOR}.kl_loss_coef",
            "critic.optim.lr",
            "critic.optim.clip_grad",
            "critic.cliprange_value",
            "algorithm.gamma",
            "algorithm.gigpo.omega",
            "env.invalid_penalty",
            f"{ROLLOUT}.temperature",
            f"{ROLLOUT}.top_p",
            "search.c_ucb",
        )
        for value in ("-1", "nan", "much")
    },
    "no clipping": ("quickstart", (f"{ACTOR}.optim.clip_grad=null",), "optim.clip_grad: is not set"),
    "warm-up of verl's crash": ("quickstart", (f"{ACTOR}.optim.lr_warmup_steps=null",), "lr_warmup_steps: is not set"),
    "warm-up longer than all": (
        "quickstart",
        (f"{ACTOR}.optim.lr_warmup_steps_ratio=2",),
        "it has to be between 0 and 1",
    ),
    "an unknown schedule": ("quickstart", (f"{ACTOR}.optim.lr_scheduler_type=linear",), "'linear' is no schedule; use"),
    "no optimiser": ("quickstart", ("critic.fsdp.forward_only=true",), "leaves the critic without an optimiser"),
    "extra arguments": (
        "quickstart",
        (f"{ACTOR}.optim.override_optimizer_config={{lr: -1.0}}",),
        "override_optimizer_config.lr: -1.0 is out of range",
    ),
    "dual clip": ("quickstart", (f"{ACTOR}.clip_ratio_c=1",), "clip_ratio_c: 1 is out of range; it has to be above 1"),
    "a loss divided by nothing": (
        "quickstart",
        (f"{ACTOR}.loss_scale_factor=0",),
        "loss_scale_factor: 0 is out of range",
    ),
    "no epochs": ("quickstart", (f"{ACTOR}.ppo_epochs=0",), "0 is out of range"),
    "no epochs of the critic": ("quickstart", ("critic.ppo_epochs=0",), "0 is out of range"),
    "no steps": ("quickstart", ("trainer.total_training_steps=0",), "0 is out of range"),
    "greedy": ("quickstart", (f"{ROLLOUT}.temperature=0",), "temperature: 0 is out of range; it has to be above 0"),
    "top-k of the transformers server": ("quickstart", (f"{ROLLOUT}.top_k=1",), "the transformers server has no top-k"),
    "one session": ("quickstart", (f"{ROLLOUT}.n=1",), "1 session a group leaves nothing to compare"),
    "no critic": ("quickstart", ("critic.enable=false",), "the search would use a Q that nobody learns"),
    "a penalty above every gain": ("quickstart", ("env.invalid_penalty=1e9",), "it has to be between 0 and 1"),
    "no prompt": (
        "quickstart",
        ("data.max_prompt_length=16",),
        "data.max_prompt_length: leaves 16 tokens, and the shortest prompt has at least",
    ),
    "no prompt by verl's key": (
        "quickstart",
        (f"{ROLLOUT}.prompt_length=16",),
        "rollout.prompt_length: leaves 16 tokens",
    ),
    "no prompt for code": ("qwen7b", ("data.max_prompt_length=300",), "leaves 300 tokens"),
    "no window": ("qwen7b", (f"{ROLLOUT}.max_model_len=2060",), "max_model_len: leaves 12 tokens"),
    "no reply": ("qwen7b", ("data.max_response_length=16",), "16 tokens can't hold a workflow; set it to 256"),
    "no reply by verl's key": ("qwen7b", (f"{ROLLOUT}.response_length=1",), "1 tokens can't hold a workflow"),
    "always the seed": (
        "search_only",
        ("search.soft_mixed.sample=1",),
        "search.soft_mixed.sample: a pool of 1 is always the seed; set it to 4, as in AFlow",
    ),
    "nothing but patience": ("quickstart", ("health.patience=0",), "health.patience: 0 is out of range"),
    "health that does nothing": ("quickstart", ("health.on_dead=ignore",), "'ignore' is not one of warn, stop"),
}


@pytest.mark.parametrize("override", NAMED)
def test_named(override: str) -> None:
    said = [line for line in judged("quickstart", override) if NAMED[override] in line]
    assert len(said) == 1
    assert f"override '{override}'" in said[0]


@pytest.mark.parametrize("case", NAMED_TOGETHER)
def test_named_together(case: str) -> None:
    name, overrides, words = NAMED_TOGETHER[case]
    assert [line for line in judged(name, *overrides) if words in line]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    name, overrides, words = REFUSED[case]
    with pytest.raises(RecipeError) as refusal:
        judged(name, *overrides)
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    "override",
    [
        f"{ACTOR}.optim.lr=1e-6",
        f"{ACTOR}.optim.lr_warmup_steps=2",
        f"{ACTOR}.optim.clip_grad=0.1",
        f"{ACTOR}.optim.lr_scheduler_type=cosine",
        f"{ACTOR}.entropy_coeff=0.01",
        f"{ROLLOUT}.temperature=0.7",
        f"{ROLLOUT}.top_p=0.9",
        "algorithm.gamma=1",
        "algorithm.gigpo.omega=0.5",
        "trainer.critic_warmup=1",
        "search.rl_weight=1",
        "env.invalid_penalty=1",
        "env.steps=1",
    ],
)
def test_what_is_usual_is_not_warned_of(override: str) -> None:
    assert judged("quickstart", override) == []


def test_the_schedule_is_verls() -> None:
    """Against verl's own functions, for a few shapes."""
    torch = pytest.importorskip("torch")
    from verl.utils.torch_functional import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

    optim = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    for overrides, scheduler in (
        ((f"{ACTOR}.optim.lr_warmup_steps=3",), get_constant_schedule_with_warmup(optim, 3)),
        (
            (f"{ACTOR}.optim.lr_scheduler_type=cosine", f"{ACTOR}.optim.lr_warmup_steps_ratio=0.3"),
            get_cosine_schedule_with_warmup(optim, 3, 10, num_cycles=0.5),
        ),
        (
            (
                f"{ACTOR}.optim.lr_scheduler_type=cosine",
                f"{ACTOR}.optim.min_lr_ratio=0.1",
                f"{ACTOR}.optim.num_cycles=1.5",
                f"{ACTOR}.optim.zero_indexed_step=false",
            ),
            get_cosine_schedule_with_warmup(optim, 0, 10, 0.1, 1.5, zero_indexed_step=False),
        ),
    ):
        recipe = variation("quickstart", ("trainer.total_training_steps=10", *overrides))
        expected = [scheduler.lr_lambdas[0](k) for k in range(10)]
        assert optimiser.schedule(recipe, POLICY, 10) == pytest.approx(expected)


def test_what_clipping_leaves_of_an_update() -> None:
    # a hub name of 7 billion parameters: 1 / sqrt(7e9) = 1.195e-5 a weight, far above Adam's 1e-8
    recipe = variation("qwen7b", ())
    assert optimiser.movement(recipe, POLICY, 1e-6) == pytest.approx(1e-6 * 1.195e-5 / (1.195e-5 + 1e-8), rel=1e-3)
    # at clip_grad 1e-3 the gradient is 1.195e-8, so that Adam's step is 0.544 of the learning rate
    recipe = variation("qwen7b", ("critic.optim.clip_grad=0.001",))
    assert optimiser.movement(recipe, CRITIC, 1e-5) == pytest.approx(1e-5 * 1.195 / 2.195, rel=1e-3)
    # plain SGD moves by learning rate times gradient
    recipe = variation("qwen7b", (f"{ACTOR}.optim.optimizer=SGD",))
    assert optimiser.movement(recipe, POLICY, 1e-6) == pytest.approx(1.195e-11, rel=1e-3)


def test_updates_of_a_run() -> None:
    # 2 rows of 2 edits make 4 rows a session; mini-batches of 2 rows: 2 updates, and twice that in 2 epochs
    assert optimiser.updates_a_step(variation("quickstart", ()), POLICY) == 2
    assert optimiser.updates_a_step(variation("quickstart", ("critic.ppo_epochs=2",)), CRITIC) == 4
    assert optimiser.trained_steps(variation("quickstart", ("trainer.critic_warmup=3",)), POLICY) == 2
    assert optimiser.trained_steps(variation("quickstart", ("trainer.critic_warmup=3",)), CRITIC) == 4


def test_warnings_are_a_section_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = variation("quickstart", (f"{ACTOR}.optim.lr=0", "algorithm.gamma=0"))
    check(recipe, PLANNED, aloud=True)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("warnings: this runs, and")
    assert lines[start + 1].startswith(f"  ! {POLICY_STANDS}: {ACTOR}.optim.lr is 0 (override")
    assert lines[start + 2].startswith("  ! no edit is credited")
    assert "all checks passed, with 2 warnings" in lines[start + 3]
    assert "warning policy and critic are trained" in lines
    check(recipe, PLANNED, aloud=False)  # at the start of a run
    assert lines[start : start + 3] == capsys.readouterr().out.splitlines()[-3:]


def test_keys_that_nothing_reads_are_verls_and_ours() -> None:
    from aflow_verl.checks.unread import UNREAD

    for key, _, why in UNREAD:
        assert usual(key) is not None, key
        assert why


class TestVocabulary:
    def write(self, folder: Path, words: dict[str, int], *, special: int = 0, config: bool = True) -> str:
        folder.mkdir()
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        added = [{"content": "<end>", "id": special, "special": True, **flags}]
        tokenizer = {"model": {"type": "WordLevel", "vocab": words, "unk_token": "a"}, "added_tokens": added}
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        if config:
            (folder / "config.json").write_text(json.dumps({"vocab_size": len(words)}))
        return str(folder)

    def judged(self, policy: str, critic: str) -> list[str]:
        return judged("qwen7b", f"actor_rollout_ref.model.path={policy}", f"critic.model.path={critic}")

    def test_the_same_tokens_in_two_places(self, tmp_path: Path) -> None:
        policy, critic = (self.write(tmp_path / name, {"a": 0, "b": 1}) for name in ("policy", "critic"))
        assert self.judged(policy, critic) == []

    @pytest.mark.parametrize("other", [{"a": 1, "b": 0}, {"a": 0, "b": 1, "c": 2}, {"a": 0}])
    def test_another_vocabulary(self, other: dict[str, int], tmp_path: Path) -> None:
        policy, critic = self.write(tmp_path / "policy", {"a": 0, "b": 1}), self.write(tmp_path / "critic", other)
        with pytest.raises(RecipeError, match=r"critic\.model\.path: the critic reads another vocabulary than the"):
            self.judged(policy, critic)

    def test_another_end_of_turn(self, tmp_path: Path) -> None:
        policy = self.write(tmp_path / "policy", {"a": 0, "b": 1})
        critic = self.write(tmp_path / "critic", {"a": 0, "b": 1}, special=1)
        with pytest.raises(RecipeError, match="another vocabulary"):
            self.judged(policy, critic)

    def test_too_few_tokens_where_no_tokenizer_lies_beside_them(self, tmp_path: Path) -> None:
        policy = self.write(tmp_path / "policy", {"a": 0, "b": 1})
        critic = self.write(tmp_path / "critic", {"a": 0})
        (tmp_path / "critic" / "tokenizer.json").unlink()
        with pytest.raises(RecipeError, match=r"the critic reads 1 tokens, and the policy's tokenizer .* writes 2"):
            self.judged(policy, critic)

    def test_what_cant_be_compared_is_named(self, tmp_path: Path) -> None:
        policy, critic = (self.write(tmp_path / name, {"a": 0}) for name in ("policy", "critic"))
        (tmp_path / "critic" / "tokenizer.json").write_text("{")
        (line,) = self.judged(policy, critic)
        assert "nobody has checked that the critic reads the tokens" in line

    def test_a_policy_with_the_tokenizer_of_another(self, tmp_path: Path) -> None:
        policy, other = self.write(tmp_path / "policy", {"a": 0}), self.write(tmp_path / "other", {"b": 0})
        with pytest.raises(RecipeError, match="the policy reads another vocabulary"):
            judged(
                "qwen7b",
                f"actor_rollout_ref.model.path={policy}",
                f"critic.model.path={policy}",
                f"actor_rollout_ref.model.tokenizer_path={other}",
            )
