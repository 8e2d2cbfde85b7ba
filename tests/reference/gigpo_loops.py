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
    episode_returns=None,
    padding=None,
    gamma=0.95,
    omega=1.0,
    norm="mean_norm",
    episode_mean="trajectories",
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
        together = episodes[group[i], trajectory[i]]
        if parent_step is None:  # Eq. 5
            return sum(gamma ** (step[k] - step[i]) * rewards[k] for k in together if step[k] >= step[i])
        made_here = [step_return(k) for k in together if parent_step[k] == step[i]]
        return rewards[i] + gamma * max([0.0, *made_here])

    def relative(value, others):  # Eq. 3 and 7
        if len(others) == 1:
            return 0.0
        mean = sum(others) / len(others)
        if norm == "mean_norm":
            return value - mean
        return (value - mean) / (math.sqrt(sum((x - mean) ** 2 for x in others) / (len(others) - 1)) + 1e-6)

    all_returns = {i: step_return(i) for i in chosen.values()}
    advantages, returns = [], []
    for i in rows:
        if padding is not None and padding[i]:
            advantages.append([0.0 for _ in mask[i]])
            returns.append([0.0 for _ in mask[i]])
            continue
        members = [(group[i], trajectory[k]) for k in groups[group[i]]]
        if episode_mean == "trajectories":
            members = set(members)
        same_anchor = [all_returns[k] for k in groups[group[i]] if anchor[k] == anchor[i]]
        r_i = all_returns[chosen[group[i], trajectory[i], step[i]]]
        a_episode = relative(episode_return((group[i], trajectory[i])), [episode_return(tau) for tau in members])
        a_i = a_episode + omega * relative(r_i, same_anchor)  # Eq. 8
        advantages.append([a_i * m for m in mask[i]])
        returns.append([r_i * m for m in mask[i]])
    return advantages, returns
