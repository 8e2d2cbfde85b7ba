"""Which store a run opens, and under which name."""

from pathlib import Path

from aflow_verl.config import StoreConfig
from aflow_verl.search.run_store import has_begun, open_run_store
from aflow_verl.search.store import MAIN
from aflow_verl.types import Grade


def test_a_run_has_its_own_file_by_default(tmp_path: Path) -> None:
    settings = StoreConfig()
    assert not has_begun(settings, tmp_path / "run")
    with open_run_store(settings, tmp_path / "run") as store:
        assert (store.name, store.run) == (str(tmp_path / "run" / "tree.sqlite"), MAIN)
    assert has_begun(settings, tmp_path / "run")


def test_runs_with_the_same_name_share_a_store_and_keep_apart(tmp_path: Path) -> None:
    settings = StoreConfig(url=f"sqlite:///{tmp_path / 'shared.sqlite'}")
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    assert not has_begun(settings, first)
    with open_run_store(settings, first) as one, open_run_store(settings, second) as two:
        assert one.run.startswith("run-")
        assert two.run.startswith("run-")
        assert one.run != two.run
        one.put_meta("best", 1)
        one.put_grades("w", "m", [Grade("p0", 1.0)])
        assert two.get_meta("best") is None
        assert two.get_grades("w", "m", ["p0"])
    assert has_begun(settings, first)
    first.rename(tmp_path / "moved")
    with open_run_store(settings, tmp_path / "moved") as again:
        assert again.run == one.run
        assert again.get_meta("best") == 1


def test_a_path_outside_the_run_directory_may_be_shared_too(tmp_path: Path) -> None:
    settings = StoreConfig(path=str(tmp_path / "shared.sqlite"))
    with open_run_store(settings, tmp_path / "one") as one, open_run_store(settings, tmp_path / "two") as two:
        assert len({one.run, two.run, MAIN}) == 3
