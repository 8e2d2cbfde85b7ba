"""``aflow``: the agent loop that plays ``WorkflowEnv`` episodes for verl; the only file of ``env`` that knows verl.

verl runs one instance a session, all of them concurrently in one event loop; a session waits for nobody but the
servers. Each step of an episode becomes one training row.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from uuid import uuid4

import ray
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register

from aflow_verl.config import AflowConfig, from_config
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.episode import Episode, EpisodeStart, Observation
from aflow_verl.env.factory import action_format, env_settings
from aflow_verl.env.loop_config import NAME
from aflow_verl.env.on_demand import ValuesOnDemand
from aflow_verl.env.seeds import derive_seed
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.errors import AflowVerlError
from aflow_verl.types import SEARCH_ACTOR, Evaluation
from aflow_verl.workflow.state import WorkflowState


@register(NAME)
class AflowAgentLoop(AgentLoopBase):
    """See the module's docstring."""

    async def run(  # type: ignore[override]  # verl takes a list as well: one row each
        self, sampling_params: dict[str, Any], **kwargs: Any
    ) -> list[AgentLoopOutput]:
        """Play one episode; one output a step.

        Args:
            sampling_params: verl's; seed, length and legal tokens of each step are added here.
            kwargs: the dataset row (``extra_info``), ``uid``, ``session_id`` and ``global_steps``.
        """
        ours = from_config(self.config)
        search = ray.get_actor(SEARCH_ACTOR)
        session = int(kwargs["session_id"])
        start: EpisodeStart = await search.begin_episode.remote(int(kwargs["global_steps"]), kwargs["extra_info"])
        try:
            return await self._play(ours, search, start, session, sampling_params, str(kwargs["uid"]))
        except Exception as error:  # verl notes it in its log and goes on with the group's other sessions
            await search.session_failed.remote(str(kwargs["uid"]), session, _portable(error))
            raise

    async def _play(
        self,
        ours: AflowConfig,
        search: Any,
        start: EpisodeStart,
        session: int,
        sampling_params: dict[str, Any],
        uid: str,
    ) -> list[AgentLoopOutput]:
        rows = _Rows(ours, start, session, self)
        actions = action_format(ours, start.task, search.write.remote)
        env = WorkflowEnv(
            start,
            session,
            env_settings(ours),
            ours.search,
            actions,
            _evaluator(search, start),
            ours.seed,
            _values_on_demand(ours, start, actions, self),
        )
        while not env.done:
            observation = await env.observe()
            reply = await rows.play(observation, sampling_params)
            transition = await env.step(reply, log_prob=rows.mean_log_prob)
            rows.reward(transition.reward, transition.child_id)
        episode = replace(env.episode(), truncated_prompts=rows.truncated)
        await search.finish_episode.remote(uid, episode)
        return rows.outputs(episode)


def _portable(error: Exception) -> Exception:
    """The error as the search can be told of it: Ray would raise its own wrapper there, and others may not pickle."""
    cause = getattr(error, "cause", None) or error
    return cause if isinstance(cause, AflowVerlError) else RuntimeError(f"{type(cause).__name__}: {cause}")


def _evaluator(search: Any, start: EpisodeStart) -> Any:
    problem_ids = tuple(problem.id for problem in start.problems)

    async def evaluate(state: WorkflowState) -> Evaluation:
        evaluation: Evaluation = await search.evaluate_child.remote(start.benchmark, state, problem_ids)
        return evaluation

    return evaluate


def _policy_tokens(loop: AflowAgentLoop) -> PolicyTokens:
    return PolicyTokens(loop.tokenizer, max_prompt_tokens=int(loop.rollout_config.prompt_length))


def _values_on_demand(
    ours: AflowConfig, start: EpisodeStart, actions: ActionFormat, loop: AflowAgentLoop
) -> ValuesOnDemand | None:
    """How the critic is asked for new nodes; None where they inherit, and where nothing was exported yet."""
    if ours.search.q_source == "snapshot" or start.q is None:
        return None
    return ValuesOnDemand(start, actions, _policy_tokens(loop), ours.evaluation)


class _Rows:
    """Draws the episode's replies and collects its training rows."""

    def __init__(self, ours: AflowConfig, start: EpisodeStart, session: int, loop: AflowAgentLoop) -> None:
        self._seed_parts = (ours.seed, "sample", start.step, start.row, session)
        self._loop = loop
        self._tokens = _policy_tokens(loop)
        self._outputs: list[AgentLoopOutput] = []

    @property
    def truncated(self) -> int:
        """Prompts that were too long even without failed problems, and lost their middle."""
        return self._tokens.truncated

    @property
    def mean_log_prob(self) -> float | None:
        """Length-normalised log-probability of the last reply, forced tokens left out."""
        output = self._outputs[-1]
        log_probs = output.response_logprobs or []
        chosen = [lp for lp, legal in zip(log_probs, _legal(output), strict=True) if len(legal) != 1]
        return math.fsum(chosen) / len(chosen) if chosen else None

    async def play(self, observation: Observation, sampling_params: dict[str, Any]) -> str:
        """Let the policy reply to an observation, and keep the row."""
        prompt_ids = self._tokens.prompt_ids(observation.messages, observation.shorter)
        params = {**sampling_params, "seed": derive_seed(*self._seed_parts, len(self._outputs)) % 2**31}
        legal: dict[int, str] = {}
        if observation.replies is not None:
            legal = {token: label for label, token in self._tokens.label_ids(observation.replies).items()}
            params |= {"max_tokens": 1, "allowed_token_ids": sorted(legal)}
        out = await self._loop.server_manager.generate(
            request_id=uuid4().hex, prompt_ids=list(prompt_ids), sampling_params=params
        )
        limit = int(self._loop.rollout_config.response_length)
        response_ids, log_probs = list(out.token_ids[:limit]), list(out.log_probs[:limit])
        fields: dict[str, Any] = {
            **out.extra_fields,
            "anchor": observation.anchor,
            "parent_step": observation.parent_step,
            "node_id": observation.node_id,
            "legal_token_ids": [],
        }
        if legal:
            # The reply is one label; its end of turn is certain, so it is not drawn.
            fields["legal_token_ids"] = [sorted(legal), [self._tokens.end_id]]
            response_ids, log_probs = [*response_ids[:1], self._tokens.end_id], [*log_probs[:1], 0.0]
        self._outputs.append(
            AgentLoopOutput(
                prompt_ids=list(prompt_ids),
                response_ids=response_ids,
                response_mask=[1] * len(response_ids),
                response_logprobs=log_probs,
                num_turns=2,
                metrics=AgentLoopMetrics(),
                extra_fields=fields,
            )
        )
        return legal[response_ids[0]] if legal else self._tokens.text(response_ids)

    def reward(self, reward: float, child_id: str | None) -> None:
        """What the last reply was worth."""
        self._outputs[-1].extra_fields |= {"step_reward": float(reward), "child_id": child_id}

    def outputs(self, episode: Episode) -> list[AgentLoopOutput]:
        """The rows, each with the episode's return; verl copies the last row's score to all of them anyway."""
        for step, output in enumerate(self._outputs):
            output.reward_score = float(episode.episode_return)
            output.extra_fields |= {
                "episode_return": float(episode.episode_return),
                "step": step,
                "reward_extra_info": {},  # verl reads it on the last row where a loop sets the score itself
            }
        return self._outputs


def _legal(output: AgentLoopOutput) -> list[list[int]]:
    legal: list[list[int]] = output.extra_fields["legal_token_ids"]
    return legal or [[] for _ in output.response_ids]
