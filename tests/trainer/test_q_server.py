"""The copy of the critic: the values of the export, and none by other weights."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from ray.exceptions import ActorDiedError

from aflow_verl.critic.shared_prompt import prompt_values
from aflow_verl.errors import CriticUnavailable
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.types import Q_ACTOR
from trainer import q_server, workers
from trainer.critic_export import export_values
from trainer.q_server import QLink, QServer, compute_dtype
from trainer.rollout import weights
from trainer.workers import AflowTrainingWorker

GROUPS = [ScoreGroup((11, 12, 13, 14), "root"), ScoreGroup((31, 32), "a"), ScoreGroup((51, 52, 53), "b")]


class _Handle:
    """Calls as an actor's handle takes them, answered in this process."""

    def __init__(self, server: QServer) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: asyncio.run(getattr(self._server, name)(*arguments)))


class _Ranks:
    """The critic's worker group: two ranks that share the groups, as ``AflowTrainingWorker`` does."""

    def __init__(self, engine: Any) -> None:
        self._worker = SimpleNamespace(engine=engine)

    def push_weights(self, server: Any, dtype: torch.dtype) -> None:
        AflowTrainingWorker.push_weights(self._worker, server, dtype)  # type: ignore[arg-type]

    @torch.no_grad()
    def score_prompts(self, prompts: Sequence[tuple[int, ...]], batch_size: int) -> list[dict[int, float]]:
        module = self._worker.engine.module.eval()
        return [{i: prompt_values(module, [prompt], device="cpu")[0]} for i, prompt in enumerate(prompts)]


@pytest.fixture
def plain_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ray.get`` of what ``_Handle`` answered."""
    monkeypatch.setattr(workers.ray, "get", lambda answer: answer)


@pytest.fixture
def server(tiny_policy: Path) -> QServer:
    threads = torch.get_num_threads()
    made = QServer(str(tiny_policy), False, torch.float32)
    torch.set_num_threads(threads)
    return made


def _link(server: QServer, tiny_policy: Path) -> QLink:
    link = QLink.__new__(QLink)
    link._path, link._trust, link._dtype, link._actor = str(tiny_policy), False, torch.float32, _Handle(server)
    return link


def test_values_on_demand_are_those_of_the_export(
    plain_ray: None, make_critic: Callable[[], Any], server: QServer, tiny_policy: Path
) -> None:
    critic = _Ranks(make_critic())
    exported = export_values(critic, GROUPS, {}, batch_size=8).values
    _link(server, tiny_policy).publish(critic, 4)
    scores = asyncio.run(server.score(GROUPS, 4))
    assert scores.weights_step == 4
    assert dict(scores.v) == pytest.approx(exported, abs=1e-6)
    assert len(set(exported.values())) == 3


async def _filled(server: QServer, step: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    named = {name: value.clone() * scale for name, value in server._module.state_dict().items()}
    await server.begin_update()
    await server.receive_weights(named)
    await server.finish_update(step)
    return named


async def test_other_weights_are_refused(server: QServer) -> None:
    with pytest.raises(CriticUnavailable, match="of step 1 are asked for; the copy has none yet"):
        await server.score(GROUPS, 1)
    await _filled(server, 1)
    assert (await server.score(GROUPS, 1)).weights_step == 1
    for wrong in (0, 2):
        with pytest.raises(CriticUnavailable, match="the copy has those of step 1"):
            await server.score(GROUPS, wrong)
    before = (await server.score(GROUPS, 1)).v
    await _filled(server, 2, scale=1.5)
    assert (await server.score(GROUPS, 2)).v != before


async def test_half_an_update_answers_nobody(server: QServer) -> None:
    named = await _filled(server, 1)
    under_way = asyncio.create_task(server.score(GROUPS, 1))
    await asyncio.sleep(0)
    await server.begin_update()
    with pytest.raises(CriticUnavailable, match="was replaced while it was asked"):
        await under_way
    await server.receive_weights(dict(list(named.items())[:3]))
    with pytest.raises(RuntimeError, match="missing"):
        await server.finish_update(2)
    with pytest.raises(CriticUnavailable, match="none yet"):
        await server.score(GROUPS, 2)


def test_a_lost_server_is_started_again_before_weights_are_sent(
    monkeypatch: pytest.MonkeyPatch, server: QServer, tiny_policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def get(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(q_server.ray, "get", get)
    monkeypatch.setattr(QLink, "_start", lambda self: _Handle(server))
    link = _link(server, tiny_policy)
    link._actor = SimpleNamespace(ready=SimpleNamespace(remote=lambda: ActorDiedError()))
    named = server._module.state_dict()
    critic = SimpleNamespace(push_weights=lambda handle, dtype: handle.receive_weights.remote(named))
    link.publish(critic, 6)
    assert asyncio.run(server.ready()) == 6
    assert "was lost; starting another one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [({"param_dtype": "fp32"}, torch.float32), ({"param_dtype": "bf16"}, torch.bfloat16), (None, torch.bfloat16)],
)
def test_the_copy_computes_in_what_the_critic_computes_in(precision: Any, dtype: torch.dtype) -> None:
    assert compute_dtype(OmegaConf.create({"critic": {"fsdp": {"mixed_precision": precision}}})) == dtype


def test_weights_travel_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "BUCKET_BYTES", 16)
    named = {f"w{k}": torch.full((4,), float(k)) for k in range(3)}
    whole = list(weights.buckets(named.items()))
    assert [list(part) for part in whole] == [["w0"], ["w1"], ["w2"]]
    halved = list(weights.buckets(named.items(), torch.bfloat16))
    assert [list(part) for part in halved] == [["w0", "w1"], ["w2"]]
    assert halved[1]["w2"].dtype == torch.bfloat16


def test_the_server_is_started_at_once_on_the_trainers_node(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Remote:
        def __init__(self, made: type) -> None:
            assert made is QServer

        def options(self, **options: Any) -> Any:
            started.append(options)
            return SimpleNamespace(remote=lambda *arguments: started.append(arguments))

    monkeypatch.setattr(q_server.ray, "remote", Remote)
    monkeypatch.setattr(
        q_server.ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "0" * 56), raising=True
    )
    fsdp = {"mixed_precision": {"param_dtype": "fp32"}}
    config = {"search": {"q_source": "server"}, "critic": {"model": {"path": "models/critic"}, "fsdp": fsdp}}
    assert QLink.of(OmegaConf.create(config)) is not None
    options, arguments = started
    assert arguments == ("models/critic", False, torch.float32)
    assert (options["name"], options["num_cpus"]) == (Q_ACTOR, 0)
    assert options["scheduling_strategy"].node_id == "0" * 56


def test_without_a_server_there_is_no_link() -> None:
    assert QLink.of(OmegaConf.create({"search": {"q_source": "snapshot"}})) is None
