"""The arms of the study, as a table: who chooses, who proposes, who criticises, how results are paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from aflow_verl.config import SearchConfig
from aflow_verl.errors import UserError
from aflow_verl.schema import suggestion
from aflow_verl.study.critics import Errors

CriticKind = Literal["oracle", "shown", "constant", "learned"]
Grading = Literal["full", "race"]
Deliver = Literal["believed", "mean"]


@dataclass(frozen=True)
class CriticSpec:
    """Which critic, and whether it has to earn its say."""

    kind: CriticKind
    correlation: float = 1.0
    """oracle: with the true promise; -1 inverts the ranking."""
    errors: Errors = "independent"
    trusted: bool = False
    """Full confidence from the first edit on, as in methods that do not ask."""


@dataclass(frozen=True)
class PolicySpec:
    """Who proposes edits."""

    odds: float = 1.0
    """Of good edits against neutral ones, and of those against bad ones."""
    learned: bool = False
    """Proposes what training on landscapes of the family has taught it, whatever ``odds`` say."""


@dataclass(frozen=True)
class Arm:
    """One way to search."""

    name: str
    about: str
    search: SearchConfig = field(default_factory=SearchConfig)
    """The project's own settings."""
    critic: CriticSpec | None = None
    policy: PolicySpec = PolicySpec()
    grading: Grading = "full"
    """full: every child on all validation problems; race: in stages, until it is clear that it is not better."""
    deliver: Deliver = "believed"
    """Which workflow counts as found: that of the highest X, or of the highest plain mean."""
    pays_twins: bool = False
    """Whether a workflow that was made before is paid for again, as in methods that do not look."""
    beam: int = 0
    """W4S: children of the current workflow a turn, the best of which goes on; 0: the tree is searched."""

    @property
    def learns(self) -> bool:
        """Whether something has to be trained first."""
        return self.policy.learned or (self.critic is not None and self.critic.kind == "learned")


DEFAULT = SearchConfig()
WITHOUT_Q = replace(DEFAULT, rl_weight=0.0)
UNSCREENED = replace(DEFAULT, screen=replace(DEFAULT.screen, proposals=0))
AFLOW = replace(WITHOUT_Q, selector="soft_mixed")

BASELINE = "aflow"
"""The arm that all others are compared with."""


def _oracles() -> list[Arm]:
    arms = []
    kinds: tuple[Errors, ...] = ("independent", "common")
    for errors in kinds:
        for percent in (0, 15, 30, 50, 70, 85, 100):
            if percent == 100 and errors == "common":
                continue  # no errors left
            name = f"oracle_{percent}" if errors == "independent" else f"oracle_{percent}_common"
            critic = CriticSpec("oracle", percent / 100, errors)
            arms.append(
                Arm(name, f"default, critic of correlation {percent / 100:.2f}, {errors} errors", critic=critic)
            )
    return arms


_TABLE = (
    Arm(
        "aflow",
        "AFlow's rule: soft mixed choice on plain means, all problems for each child",
        AFLOW,
        deliver="mean",
        pays_twins=True,
    ),
    Arm(
        "w4s",
        "W4S: four children of the current workflow a turn, the best goes on",
        AFLOW,
        beam=4,
        deliver="mean",
        pays_twins=True,
    ),
    Arm(
        "agentswift",
        "AgentSwift: a value model of correlation .5 in AFlow's choice, trusted at once",
        replace(UNSCREENED, selector="soft_mixed", trust_k=1e9),
        CriticSpec("oracle", 0.5, trusted=True),
        deliver="mean",
        pays_twins=True,
    ),
    Arm("greedy", "always the workflow of the highest believed score", replace(WITHOUT_Q, selector="greedy")),
    Arm("default", "the default selector without Q, all problems for each child", WITHOUT_Q),
    *(
        Arm(name, f"the project's {name} without Q", replace(WITHOUT_Q, selector=name))
        for name in ("ucb", "puct", "thompson", "soft_mixed")
    ),
    Arm("race", "default without Q, children raced", WITHOUT_Q, grading="race"),
    *_oracles(),
    Arm(
        "oracle_100_node",
        "default, exact critic in the choice of nodes alone",
        UNSCREENED,
        CriticSpec("oracle", 1.0),
    ),
    Arm("shown", "default, a critic that repeats the score it is shown", critic=CriticSpec("shown")),
    Arm("constant", "default, a critic that says a constant", critic=CriticSpec("constant")),
    Arm("inverted", "default, a critic whose ranking is inverted", critic=CriticSpec("oracle", -1.0)),
    *(
        Arm(f"policy_{odds}", f"default, policy of {odds}:1 for good edits", WITHOUT_Q, policy=PolicySpec(odds=odds))
        for odds in (2, 5)
    ),
    Arm(
        "policy_2_screen_race",
        "policy of 2:1, critic of correlation .5 as a screen, children raced",
        critic=CriticSpec("oracle", 0.5),
        policy=PolicySpec(odds=2.0),
        grading="race",
    ),
    Arm(
        "learned_policy",
        "policy trained on other landscapes of the family, no critic",
        WITHOUT_Q,
        policy=PolicySpec(learned=True),
    ),
    Arm(
        "learned",
        "policy and critic trained on other landscapes of the family; the critic as a screen; children raced",
        critic=CriticSpec("learned"),
        policy=PolicySpec(learned=True),
        grading="race",
    ),
)

ARMS: Mapping[str, Arm] = MappingProxyType({arm.name: arm for arm in _TABLE})
"""Name -> arm."""
QUICK = ("aflow", "default", "race", "oracle_50", "oracle_100", "inverted", "policy_2_screen_race", "learned")
"""The arms of ``--quick``."""


def chosen(names: Sequence[str], *, quick: bool = False) -> tuple[Arm, ...]:
    """The arms that ``--arms`` names, the baseline first; none named: all, or the quick ones. Raises ``UserError``."""
    wanted = list(names) or (list(QUICK) if quick else list(ARMS))
    for name in wanted:
        if name not in ARMS:
            raise UserError(f"--arms: no arm {name!r}{suggestion(name, ARMS)}; choose from {', '.join(ARMS)}")
    return tuple(ARMS[name] for name in dict.fromkeys([BASELINE, *wanted]))
