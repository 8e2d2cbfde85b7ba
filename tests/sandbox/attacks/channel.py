"""The way by which results come back: descriptors, floods, forged and broken replies."""

from attacks.attack import Attack

_EACH = """
import os, struct
frames = (
    b'{"value": "forged", "error": null, "stdout": ""}\\n',
    b'["value", "forged"]\\n' * 3,
    b"\\x00" * 4, b"\\xff" * 64, struct.pack("<Q", 1 << 40), struct.pack(">I", 0xFFFFFFFF) + b"x",
    struct.pack(">I", 4) + b"null", struct.pack("<I", 4) + b"null", b"\\n" * 100, b"{" * 5000 + b"\\n",
)
for fd in [fd for fd in range(3, 1024)]:
    try:
        os.set_blocking(fd, False)
    except OSError:
        continue
    for frame in frames:
        try:
            os.write(fd, frame)
        except OSError:
            pass
"""
_RESULT = """
import os, struct, time
text = {text}
payload = text.encode("utf-8", "surrogatepass") if type(text) is str else text
for kind in (b"C", b"V"):
    os.write(3, kind + struct.pack("!I", len(payload)))
    while payload:
        payload = payload[os.write(3, payload) :]
time.sleep(0.3)
"""
"""A whole result as the process sandbox's own program would write it, but for its contents."""
_READ = """
import os
for fd in range(3, 1024):
    try:
        os.set_blocking(fd, False)
        print(fd, os.read(fd, 1 << 16), os.lseek(fd, 0, 0), os.read(fd, 1 << 16))
    except OSError:
        pass
"""
_FLOOD = """
import os
for fd in range({first}, {last}):
    try:
        for _ in range(1000000):
            os.write(fd, b"x" * 1000)
    except OSError:
        pass
"""

ATTACKS = (
    Attack("reading_all_descriptors", _READ),
    Attack(
        "using_an_inherited_descriptor",
        """
        import os
        for fd in (WORLD["inherited"], WORLD["pipe"]):
            attempt("stat", lambda: os.fstat(fd))
            attempt("write", lambda: os.write(fd, b"x"))
        """,
    ),
    Attack("forged_replies", _EACH),
    Attack("forged_replies_and_death", _EACH + "\nos._exit(0)\n"),
    Attack("forged_replies_and_silence", _EACH + "\nwhile True: pass\n", seconds=0.5, must_fail=True),
    Attack("forged_deep_result", _RESULT.format(text="'[' * 500000 + ']' * 500000")),
    Attack(
        "forged_long_integer",
        _RESULT.format(text='\'{"value": \' + \'9\' * 900000 + \', "stdout": "", "error": null}\''),
    ),
    Attack(
        "forged_many_parts",
        _RESULT.format(text='\'{"value": [\' + \'[],\' * 300000 + \'0], "stdout": "", "error": null}\''),
    ),
    Attack(
        "forged_text",
        _RESULT.format(text='\'{"value": "\\\\ud800", "stdout": "\\\\ud800", "error": "\\\\ud800\\\\n"}\''),
    ),
    Attack("forged_types", _RESULT.format(text='\'{"value": {"t": 3}, "stdout": [1], "error": {}}\'')),
    Attack(
        "forged_numbers",
        _RESULT.format(text='\'{"value": [1e999, NaN, -Infinity, 1E-999], "stdout": "", "error": null}\''),
    ),
    Attack("forged_bytes", _RESULT.format(text="bytes(range(256)) * 1000")),
    Attack("flood_of_the_channel", _FLOOD.format(first=3, last=64), seconds=0.7),
    Attack("flood_of_output", _FLOOD.format(first=1, last=2), seconds=0.7),
    Attack("flood_of_errors", _FLOOD.format(first=2, last=3), seconds=0.7),
    Attack("flood_by_print", "while True:\n    print('x' * 1000)", seconds=0.7, must_fail=True),
    Attack("one_long_line", "print('x' * (1 << 24))\nprint('y' * (1 << 24), end='')", seconds=0.7),
    Attack("flood_of_lines", "import os\nwhile True:\n    os.write(1, b'\\n' * 4096)", seconds=0.7, must_fail=True),
    Attack(
        "flood_from_c",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        for _ in range(200000):
            libc.puts(b"x" * 1000)
        """,
        seconds=0.7,
    ),
    Attack(
        "broken_text",
        "import os\nfor fd in (1, 2):\n    os.write(fd, bytes(range(256)) * 4)\nprint('\\ud800\\x00\\x1b[2J')",
    ),
    Attack(
        "closing_everything",
        """
        import os
        os.closerange(0, 1024)
        """,
    ),
    Attack(
        "closing_everything_and_staying",
        "import os\nos.closerange(0, 1024)\nwhile True: pass",
        must_fail=True,
        seconds=0.5,
    ),
    Attack(
        "moving_descriptors",
        """
        import os
        null = os.open(".", os.O_RDONLY)
        for fd in range(64):
            if fd != null:
                try:
                    os.dup2(null, fd)
                except OSError:
                    pass
        """,
    ),
    Attack(
        "ending_the_channel_half_way",
        """
        import os
        for fd in range(3, 64):
            try:
                os.write(fd, b"\\x00\\x00\\x10\\x00{")
                os.close(fd)
            except OSError:
                pass
        """,
    ),
    Attack("output_replaced", "import sys\nsys.stdout = sys.stderr = sys.__stdout__ = None\nsys.stdin = 3"),
    Attack(
        "output_of_its_own",
        "import sys\nclass Out:\n    def __getattr__(self, name):\n        raise SystemExit(0)\nsys.stdout = Out()",
    ),
    Attack("output_closed", "import sys\nsys.stdout.close()\nsys.stderr.close()"),
)
