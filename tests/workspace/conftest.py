"""Workspaces in AFlow's format, with made-up graphs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GRAPH = '''\
from typing import Literal
import workspace.GSM8K.workflows.template.operator as operator
import workspace.GSM8K.workflows.round_{number}.prompt as prompt_custom
from scripts.async_llm import create_llm_instance


from scripts.evaluator import DatasetType

class Workflow:
    def __init__(self, name: str, llm_config, dataset: DatasetType) -> None:
        self.name = name
        self.dataset = dataset
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem: str):
        """
        Implementation of the workflow
        """
        solution = await self.custom(input=problem, instruction={instruction})
        return solution['response'], self.llm.get_usage_summary()["total_cost"]
'''


class Files:
    """Writes the files of ``workflows`` one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "GSM8K" / "workflows"
        self.results: list[dict[str, Any]] = []

    def round(self, number: int, instruction: str, father: int | None = None, scores: tuple[float, ...] = ()) -> Path:
        folder = self.folder / f"round_{number}"
        folder.mkdir(parents=True)
        text = f"prompt_custom.{instruction}" if instruction else '""'
        (folder / "graph.py").write_text(GRAPH.format(number=number, instruction=text))
        prompt = f'{instruction} = "Think about {instruction.lower()}."\n' if instruction else ""
        (folder / "prompt.py").write_text(prompt)
        (folder / "__init__.py").write_text("")
        (folder / "log.json").write_text(json.dumps([{"question": f"q{number}", "model_output": "?"}]))
        for score in scores:
            self.results.append(
                {
                    "round": number,
                    "score": score,
                    "avg_cost": 0.001,
                    "total_cost": 0.2,
                    "time": f"2024-10-0{number % 9}",
                }
            )
        if father is not None:
            before = self._mean(father)
            after = self._mean(number) if scores else None
            told = {"father node": father, "modification": f"Add {instruction}", "before": before, "after": after}
            told["succeed"] = after is not None and after > before
            (folder / "experience.json").write_text(json.dumps(told))
        (self.folder / "results.json").write_text(json.dumps(self.results, indent=4))
        return folder

    def _mean(self, number: int) -> float:
        scores = [row["score"] for row in self.results if row["round"] == number]
        return sum(scores) / len(scores) if scores else 0.0


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "workspace")


@pytest.fixture
def twenty(files: Files) -> Callable[[], Files]:
    """Twenty rounds: a tree in which round k was made from round k // 2, with two runs each."""

    def write() -> Files:
        files.round(1, "", scores=(0.5, 0.52))
        for number in range(2, 21):
            files.round(number, f"STEP_{number}", max(1, number // 2), (0.4 + number / 50, 0.42 + number / 50))
        return files

    return write
