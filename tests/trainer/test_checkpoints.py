"""Torn checkpoints never count; old ones go only after a newer one is whole."""

from pathlib import Path

from trainer.checkpoints import complete_checkpoints, keep_newest, latest_checkpoint, mark_complete, remove_torn


def _checkpoint(folder: Path, step: int, *, whole: bool) -> Path:
    path = folder / f"global_step_{step}"
    path.mkdir(parents=True)
    (path / "data.pt").write_text("x")
    if whole:
        mark_complete(path)
    return path


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "none") is None
    _checkpoint(tmp_path, 2, whole=True)
    _checkpoint(tmp_path, 10, whole=True)
    _checkpoint(tmp_path, 11, whole=False)
    assert latest_checkpoint(tmp_path) == (10, tmp_path / "global_step_10")
    assert [step for step, _ in complete_checkpoints(tmp_path)] == [2, 10]


def test_torn_ones_are_removed_and_others_left(tmp_path: Path) -> None:
    _checkpoint(tmp_path, 1, whole=True)
    _checkpoint(tmp_path, 2, whole=False)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("2")
    remove_torn(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global_step_1", "latest_checkpointed_iteration.txt"]


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        _checkpoint(tmp_path, step, whole=True)
    keep_newest(tmp_path, None)
    assert len(complete_checkpoints(tmp_path)) == 3
    keep_newest(tmp_path, 2)
    assert [step for step, _ in complete_checkpoints(tmp_path)] == [2, 3]
    assert not (tmp_path / "global_step_1").exists()
