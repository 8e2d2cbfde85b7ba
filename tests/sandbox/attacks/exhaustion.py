"""Using up memory, disk and descriptors. What an attempt takes where nothing stops it is bounded."""

from attacks.attack import Attack

_FILL = """
import os
written = 0
try:
    for number in range({files}):
        with open("full%d" % number, "wb") as file:
            for _ in range({blocks}):
                file.write(b"x" * (1 << 20))
                file.flush()
                written += 1
except OSError:
    pass
if written == {files} * {blocks}:
    attempt("fill", lambda: written)
"""


def _memory(name: str, code: str) -> Attack:
    """``code`` takes more than a gigabyte."""
    return Attack(name, f"{code}\nattempt('memory', lambda: 1)\n", must_fail=True, seconds=2.0)


ATTACKS = (
    _memory("bytes", "x = bytes(1 << 31)"),
    _memory("list", "x = [0] * (1 << 28)"),
    _memory("list_of_lists", "x = [[] for _ in range(1 << 24)]"),
    _memory("doubling_text", "x = 'a'\nwhile len(x) < 1 << 31:\n    x += x"),
    _memory("multiplied_text", "x = 'a' * (1 << 31)"),
    _memory("formatted_text", "x = '%2000000000d' % 1"),
    _memory("integer", "x = 1 << (1 << 34)"),
    _memory("dictionary", "x = {}\nfor i in range(1 << 24):\n    x[i] = [i]"),
    _memory("generator", "x = list(range(1 << 27))"),
    _memory("mapping", "import mmap\nx = mmap.mmap(-1, 1 << 31)\nfor i in range(0, 1 << 31, 4096):\n    x[i] = 1"),
    _memory(
        "many_mappings",
        "import mmap\nx = [mmap.mmap(-1, 1 << 20) for _ in range(2048)]\nfor m in x:\n    m.write(b'x' * (1 << 20))",
    ),
    _memory(
        "malloc",
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
        "if not libc.malloc(ctypes.c_size_t(1 << 31)):\n    raise MemoryError",
    ),
    _memory(
        "caught_again_and_again",
        "x = []\nfor _ in range(64):\n    try:\n        while len(x) < 2048:\n"
        "            x.append(bytearray(b'x' * (1 << 20)))\n    except MemoryError:\n        pass\n"
        "if len(x) < 1024:\n    raise MemoryError",
    ),
    Attack(
        "raising_limits",
        """
        import resource
        for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_NOFILE"):
            soft, hard = resource.getrlimit(getattr(resource, name))
            attempt(name, lambda: resource.setrlimit(getattr(resource, name), (-1, -1)))
            if hard != -1:
                attempt(name, lambda: resource.setrlimit(getattr(resource, name), (hard + 1, hard + 1)))
        """,
        gets_through=True,
    ),
    Attack(
        "anonymous_file",
        """
        import os
        memory = os.memfd_create("x")
        for _ in range(512):
            os.write(memory, b"x" * (1 << 20))
        attempt("fill", lambda: 512)
        """,
        must_fail=True,
        seconds=2.0,
    ),
    Attack("large_file", _FILL.format(files=1, blocks=512), seconds=2.0),
    Attack("large_files", _FILL.format(files=64, blocks=8), seconds=2.0),
    Attack(
        "sparse_file",
        """
        with open("sparse", "wb") as file:
            attempt("truncate", lambda: file.truncate(1 << 31))
        """,
        gets_through=True,
    ),
    Attack(
        "many_files",
        """
        made = 0
        try:
            for number in range(20000):
                open("f%d" % number, "w").close()
                made += 1
        except OSError:
            pass
        if made == 20000:
            attempt("files", lambda: made)
        """,
        seconds=2.0,
    ),
    Attack(
        "deep_folders",
        """
        import os
        for _ in range(3000):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        """,
    ),
    Attack(
        "descriptors",
        """
        import os
        held = []
        try:
            while len(held) < 20000:
                held.append(os.dup(1))
        except OSError:
            pass
        if len(held) == 20000:
            attempt("descriptors", lambda: len(held))
        for fd in held:
            os.close(fd)
        """,
    ),
    Attack(
        "pipes",
        """
        import os
        held = 0
        try:
            while held < 1024:
                r, w = os.pipe()
                os.set_blocking(w, False)
                os.write(w, b"x" * 65536)
                held += 1
        except OSError:
            pass
        if held == 1024:
            attempt("pipes", lambda: held)
        """,
    ),
)
