"""GiGPO loop by loop, as the paper (arXiv 2505.10978) states it: one row at a time, every mean by its definition.

Slow on purpose and independent of ``trainer.gigpo``: plain Python lists, no sorting, no ids made dense.
"""

import math


def gigpo_loops(
    rewards,
    group,
    trajectory,
    step,
    anchor,
    mask,
    *,
    parent_step=None,
    step_returns=None,
    episode_returns=None,
    invalid=None,
    neutral=None,
    padding=None,
    gamma=0.95,
    omega=1.0,
    norm="mean_norm",
    episode_mean="trajectories",
    singletons="group",
):
    """``(advantages, returns)``, two lists of B lists of T numbers."""
    rows = range(len(rewards))
    chosen = {}  # (group, trajectory, step) -> the first row that shows it
    for i in rows:
        if padding is None or not padding[i]:
            chosen.setdefault((group[i], trajectory[i], step[i]), i)
    episodes = {}  # (group, trajectory) -> its rows
    groups = {}  # group -> its rows
    for (uid, tau, _), i in chosen.items():
        episodes.setdefault((uid, tau), []).append(i)
        groups.setdefault(uid, []).append(i)

    def episode_return(tau):
        if episode_returns is not None:
            return episode_returns[episodes[tau][0]]
        return sum(rewards[i] for i in episodes[tau])

    def step_return(i):
        if step_returns is not None:
            return step_returns[i]
        together = episodes[group[i], trajectory[i]]
        if parent_step is None:  # Eq. 5
            return sum(gamma ** (step[k] - step[i]) * rewards[k] for k in together if step[k] >= step[i])
        made_here = [step_return(k) for k in together if parent_step[k] == step[i]]
        return rewards[i] + gamma * max([0.0, *made_here])

    def is_edit(i):
        return neutral is None or not neutral[i]

    def is_valid(i):
        return invalid is None or not invalid[i]

    def spread(values, mean):
        return math.sqrt(sum((x - mean) ** 2 for x in values) / max(len(values) - 1, 1))

    def relative(value, valid, others, counts=True):  # Eq. 3 and 7
        basis = valid or others
        mean = sum(basis) / len(basis)
        if norm == "mean_norm":
            return value - mean
        return (value - mean) / (spread(basis if counts or not valid else others, mean) + 1e-6)

    all_returns = {i: step_return(i) for i in chosen.values()}
    advantages, returns = [], []
    for i in rows:
        if padding is not None and padding[i]:
            advantages.append([0.0 for _ in mask[i]])
            returns.append([0.0 for _ in mask[i]])
            continue
        r_i = all_returns[chosen[group[i], trajectory[i], step[i]]]
        a_i = 0.0
        if is_edit(i):
            members = [(group[i], trajectory[k]) for k in groups[group[i]] if is_edit(k)]
            if episode_mean == "trajectories":
                members = set(members)
            totals = [episode_return(tau) for tau in members]
            same_anchor = [k for k in groups[group[i]] if anchor[k] == anchor[i] and is_edit(k)]
            if singletons == "group" and sum(is_valid(k) for k in same_anchor) < 2:
                same_anchor = [k for k in groups[group[i]] if is_edit(k)]
            valid = [all_returns[k] for k in same_anchor if is_valid(k)]
            a_episode = relative(episode_return((group[i], trajectory[i])), totals, totals)
            a_step = relative(r_i, valid, [all_returns[k] for k in same_anchor], is_valid(i))
            a_i = a_episode + omega * a_step  # Eq. 8
        advantages.append([a_i * m for m in mask[i]])
        returns.append([r_i * m for m in mask[i]])
    return advantages, returns
