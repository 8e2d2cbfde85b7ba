"""Small trees with names in place of hashes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.workflow.state import WorkflowState

settings.register_profile("no deadline", deadline=None)  # a busy machine must not fail a property
settings.load_profile("no deadline")


class Garden:
    """Makes states, and trees of them, by one-letter names."""

    def state(self, name: str) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ("Custom",))

    def id(self, name: str) -> str:
        return self.state(name).hash

    def name(self, node_id: str) -> str:
        return {self.id(name): name for name in "abcdefghijklmnopqrstuvwxyz"}[node_id]

    def names(self, ids: object) -> str:
        return "".join(self.name(node_id) for node_id in ids)  # type: ignore[attr-defined]

    def add(self, overlay: Overlay, edge: str, grades: Mapping[str, float] | None = None, **more: object) -> str:
        """``add(overlay, "ab")``: b made from a by the action "ab"."""
        return overlay.add_child(self.id(edge[0]), self.state(edge[1]), edge, grades or {}, **more).id  # type: ignore[arg-type]

    def tree(self, *edges: str, grades: Mapping[str, Mapping[str, float]] | None = None, visits: str = "") -> Tree:
        """Root a, these edges in order, grades by name, one edit of every name in ``visits``."""
        grades = grades or {}
        overlay = Tree.seed(self.state("a"), grades.get("a", {})).overlay()
        for edge in edges:
            self.add(overlay, edge, grades.get(edge[1], {}))
        for name in visits:
            overlay.visit(self.id(name))
        return overlay.frozen()


@pytest.fixture
def garden() -> Garden:
    return Garden()


@pytest.fixture
def scores() -> Callable[..., dict[str, float]]:
    """``scores(1, 0)``: problems p0, p1 with these scores."""
    return lambda *values: {f"p{i}": float(value) for i, value in enumerate(values)}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a server that the session starts."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    path = Path(__file__).parents[1] / "reference" / "postgresql_server.py"
    spec = importlib.util.spec_from_file_location("postgresql_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store may be, in each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tree.sqlite'}"
    import psycopg

    server: str = request.getfixturevalue("postgresql")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS aflow_verl CASCADE")
    return server
