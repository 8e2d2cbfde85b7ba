"""The actor with the copy of the critic, lost and started again; whole runs with it: ``test_whole_loop``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from omegaconf import OmegaConf
from transformers import AutoConfig, AutoTokenizer

from aflow_verl.config import EvaluationConfig
from aflow_verl.critic.loading import new_critic
from aflow_verl.critic.scorer import CriticScorer
from aflow_verl.env.actions import EditFormat
from aflow_verl.env.episode import EpisodeStart
from aflow_verl.env.on_demand import ValuesOnDemand
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import CriticUnavailable
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.tree import Tree
from aflow_verl.types import Q_ACTOR, Evaluation
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.state import WorkflowState, seed_state
from trainer.q_server import QLink
from trainer.rollout.weights import buckets

pytestmark = pytest.mark.slow

OPERATORS = ("Custom", "Programmer")


class _Critic:
    """The critic's worker group, as far as sending weights goes."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def push_weights(self, server: Any, dtype: torch.dtype) -> None:
        for bucket in buckets(self.module.state_dict().items(), dtype):
            ray.get(server.receive_weights.remote(bucket))


@pytest.fixture
def local_ray() -> Iterator[None]:
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
    yield
    ray.shutdown()


async def test_a_lost_actor_is_a_failure_until_the_next_export(local_ray: None, tiny_policy: Path) -> None:
    torch.manual_seed(1)
    module = new_critic(AutoConfig.from_pretrained(tiny_policy))
    critic = _Critic(module)
    actions = EditFormat(EditSpace(operators=OPERATORS), "Solve it.")
    tokens = PolicyTokens(AutoTokenizer.from_pretrained(tiny_policy), max_prompt_tokens=400)
    tree = Tree.seed(seed_state("toy", OPERATORS))
    overlay = tree.overlay()
    child = overlay.add_child(tree.root_id, WorkflowState("toy", "class Workflow:\n    x = 1\n", "", OPERATORS), "edit")

    def client(step: int) -> ValuesOnDemand:
        start = EpisodeStart(
            benchmark="toy",
            task="Solve it.",
            start="snapshot",
            step=step + 1,
            row=0,
            tree=tree,
            q=QSnapshot(step, {}),
            centre=0.25,
            problems=(),
            weights={},
            graded=Evaluation(()),
        )
        return ValuesOnDemand(start, actions, tokens, EvaluationConfig(retries=1, backoff_s=0.1))

    link = QLink(
        OmegaConf.create(
            {
                "critic": {
                    "model": {"path": str(tiny_policy)},
                    "fsdp": {"mixed_precision": {"param_dtype": "fp32"}},
                }
            }
        )
    )
    link.publish(critic, 1)
    groups = score_groups(overlay, [child.id], actions, tokens, ())
    expected = 0.25 + CriticScorer(module, weights_step=1).score(groups).v[child.id]
    assert (await client(1)(overlay, [child.id]))[child.id] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(CriticUnavailable, match="the copy has those of step 1"):
        await client(2)(overlay, [child.id])

    ray.kill(ray.get_actor(Q_ACTOR))
    with pytest.raises(CriticUnavailable):
        await client(1)(overlay, [child.id])
    link.publish(critic, 2)
    assert (await client(2)(overlay, [child.id]))[child.id] == pytest.approx(expected, abs=1e-5)
