"""What is outside the sandbox in the tests: canaries that notice whoever touches them."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

KEY = "ANTHROPIC_API_KEY"
STRAY_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/", "/etc", "/root", str(Path.home()))
_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
_VICTIM = "import signal, sys; signal.signal(signal.SIGUSR1, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
_IPC_CREAT, _IPC_RMID, _SEGMENT_MODE = 0o1000, 0, 0o666


@dataclass(frozen=True, slots=True)
class World:
    """Canaries, and the folder that the sandbox may keep its temporary files in."""

    facts: dict[str, Any]
    """What attacks are told: paths, ports, process ids."""
    secrets: tuple[str, ...]
    folder: Path
    temporary: Path
    sockets: tuple[socket.socket, ...]
    pipe: int
    victim: subprocess.Popen[bytes]
    received: list[int]
    """Signals that reached this process."""

    def state(self) -> dict[str, Any]:
        """Everything that no program may change."""
        return {
            "files": {str(path): _seen(path) for path in [self.folder, *sorted(self.folder.rglob("*"))]},
            "temporary": sorted(os.listdir(self.temporary)),
            "stray": [folder for folder in STRAY_FOLDERS if os.path.lexists(f"{folder}/{self.facts['stray']}")],
            "heard": [index for index, one in enumerate(self.sockets) if _heard(one)],
            "written": _readable(self.pipe),
            "victim": self.victim.poll(),
            "signals": list(self.received),
            "process": (os.getcwd(), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.uname().nodename),
        }

    def tidy(self) -> None:
        """Removes what an attack left outside."""
        for folder in STRAY_FOLDERS:
            with suppress(OSError):
                os.unlink(f"{folder}/{self.facts['stray']}")


def _seen(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return found.st_mode, found.st_uid, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink, content


def _heard(one: socket.socket) -> bool:
    try:
        one.accept() if one.type == socket.SOCK_STREAM else one.recv(100)
    except BlockingIOError:
        return False
    return True


def _readable(pipe: int) -> bytes:
    try:
        return os.read(pipe, 100)
    except BlockingIOError:
        return b""


@contextmanager
def open_world(*, plain: bool) -> Iterator[World]:
    """A world of new canaries; ``plain`` tells attacks that nothing holds them."""
    with ExitStack() as stack:
        key, readable, private, shared = (f"sk-canary-{secrets.token_hex(12)}" for _ in range(4))
        shared_name = f"canary_{secrets.token_hex(8)}"
        folder, temporary = (Path(tempfile.mkdtemp(prefix=f"{name}_", dir="/tmp")) for name in ("canary", "sandbox"))
        for path in (folder, temporary):
            stack.callback(shutil.rmtree, path, ignore_errors=True)
        _files(folder, readable, private)
        stack.enter_context(_environment({KEY: key, "TMPDIR": str(temporary)}))
        stack.enter_context(_shared_memory(shared_name, shared))
        received: list[int] = []
        stack.enter_context(_noted_signals(received))
        victim = stack.enter_context(_victim())
        sockets, addresses = _listeners(folder, stack)
        inherited, read_end, write_end = _descriptors(folder, stack)
        facts = {
            "plain": plain,
            "pid": os.getpid(),
            "session": os.getsid(0),
            "victim": victim.pid,
            "address": id(None),
            "home": str(Path.home()),
            "repository": str(Path(__file__).parents[3]),
            "folder": str(folder),
            **{name: str(folder / name) for name in ("readable", "private", "writable", "everyones")},
            "stray": f"canary_{secrets.token_hex(8)}",
            "shared_memory": shared_name,
            "segment": _SEGMENT_KEY,
            "inherited": inherited,
            "pipe": write_end,
            **addresses,
        }
        world = World(facts, (key, readable, private, shared), folder, temporary, sockets, read_end, victim, received)
        stack.callback(world.tidy)
        yield world


def _files(folder: Path, readable: str, private: str) -> None:
    folder.chmod(0o755)
    for name, content, mode in (
        ("readable", readable, 0o644),
        ("private", private, 0o600),
        ("writable", "as it was", 0o666),
        ("canary_module.py", f"SECRET = {readable!r}\n", 0o644),
    ):
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
    (folder / "everyones").mkdir()
    (folder / "everyones").chmod(0o777)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before, before_folder = dict(os.environ), tempfile.tempdir
    os.environ.update(values)
    tempfile.tempdir = None
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = before_folder


_SEGMENT_KEY = 0x0AF10 + os.getpid()


@contextmanager
def _shared_memory(name: str, secret: str) -> Iterator[None]:
    """The same secret in a POSIX and in a System V segment that everyone may read."""
    posix = Path("/dev/shm", name)
    posix.write_text(secret)
    posix.chmod(0o644)
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(_SEGMENT_KEY, 4096, _IPC_CREAT | _SEGMENT_MODE)
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, secret.encode() + b"\0", len(secret) + 1)
    try:
        yield
    finally:
        libc.shmdt(ctypes.c_void_p(address))
        libc.shmctl(segment, _IPC_RMID, None)
        posix.unlink()


@contextmanager
def _noted_signals(received: list[int]) -> Iterator[None]:
    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {one: signal.signal(one, note) for one in _SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user with the key in its environment; ends with us at the latest."""
    command = [sys.executable, "-I", "-c", _VICTIM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        try:
            yield victim
        finally:
            victim.kill()


def _listeners(folder: Path, stack: ExitStack) -> tuple[tuple[socket.socket, ...], dict[str, Any]]:
    abstract = f"canary_{secrets.token_hex(8)}"
    wanted: list[tuple[str, int, int, Any]] = [
        ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ("unix", socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "unix")),
        ("datagram", socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagram")),
        ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
    ]
    if _has_ipv6():
        wanted.append(("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)))
    made, addresses = [], {"tcp6": 9}
    for name, family, kind, address in wanted:
        one = stack.enter_context(socket.socket(family, kind))
        one.bind(address)
        one.setblocking(False)
        if kind == socket.SOCK_STREAM:
            one.listen(64)
        made.append(one)
        addresses[name] = one.getsockname()[1] if family != socket.AF_UNIX else address.replace("\0", "")
        if family == socket.AF_UNIX and not address.startswith("\0"):
            os.chmod(address, 0o777)
    return tuple(made), addresses


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def _descriptors(folder: Path, stack: ExitStack) -> tuple[int, int, int]:
    """Inheritable ones that a careless start of a child would hand on: a private file and the end of a pipe."""
    private = os.open(folder / "private", os.O_RDONLY)
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    for fd, number in ((private, 201), (write_end, 202)):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
        stack.callback(os.close, number)
    stack.callback(os.close, read_end)
    return 201, read_end, 202
