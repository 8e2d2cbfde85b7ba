"""Talking to anyone. Canaries listen on each kind of address; none may hear a thing."""

from attacks.attack import Attack

RAW = """
import ctypes, struct
libc = ctypes.CDLL(None)
made = libc.syscall({number}, {family}, {kind}, 0)
if made >= 0:
    attempt("socket", lambda: made)
    address = struct.pack("<H", 2) + struct.pack(">H", WORLD["tcp"]) + bytes([127, 0, 0, 1]) + bytes(8)
    libc.connect(made, address, 16)
"""


def _socket(name: str, family: str, kind: str, action: str, *, root: bool = False, there: bool = True) -> Attack:
    code = f"""
    import socket, struct
    one = attempt("socket", lambda: socket.socket(socket.{family}, socket.{kind}))
    one.settimeout(0.3)
    attempt("use", lambda: {action})
    """
    return Attack(name, code, gets_through=there, needs_root=root)


ATTACKS = (
    _socket("tcp", "AF_INET", "SOCK_STREAM", 'one.connect(("127.0.0.1", WORLD["tcp"]))'),
    _socket("tcp6", "AF_INET6", "SOCK_STREAM", 'one.connect(("::1", WORLD["tcp6"]))', there=False),
    _socket("udp", "AF_INET", "SOCK_DGRAM", 'one.sendto(b"x", ("127.0.0.1", WORLD["udp"]))'),
    _socket("unix", "AF_UNIX", "SOCK_STREAM", 'one.connect(WORLD["unix"])'),
    _socket("unix_datagram", "AF_UNIX", "SOCK_DGRAM", 'one.sendto(b"x", WORLD["datagram"])'),
    _socket("unix_abstract", "AF_UNIX", "SOCK_STREAM", 'one.connect("\\\\0" + WORLD["abstract"])'),
    _socket("netlink", "AF_NETLINK", "SOCK_RAW", "one.bind((0, 0))"),
    _socket("packet", "AF_PACKET", "SOCK_RAW", 'one.bind(("lo", 0))', root=True),
    _socket("icmp", "AF_INET", "SOCK_RAW, 1", 'one.sendto(b"x", ("127.0.0.1", 0))', root=True),
    _socket("vsock", "AF_VSOCK", "SOCK_STREAM", "one.connect((2, 1))", there=False),
    _socket("alg", "AF_ALG", "SOCK_SEQPACKET", 'one.bind(("hash", "sha256"))', there=False),
    _socket("bluetooth", "AF_BLUETOOTH", "SOCK_SEQPACKET", 'one.bind("")', there=False),
    _socket("listening", "AF_INET", "SOCK_STREAM", '(one.bind(("0.0.0.0", 0)), one.listen())'),
    Attack(
        "every_family",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        for family in range(1, 64):
            for kind in range(1, 7):
                made = libc.socket(family, kind, 0)
                if made >= 0:
                    attempt("socket %d %d" % (family, kind), lambda: made)
                    libc.close(made)
        """,
        gets_through=True,
    ),
    Attack("raw_system_call", RAW.format(number=41, family=2, kind=1), gets_through=True),
    Attack("high_bits_of_a_family", RAW.format(number=41, family="2 + (1 << 32)", kind="1 + (1 << 32)")),
    Attack("x32_system_call", RAW.format(number=(1 << 30) + 41, family=2, kind=1)),
    Attack(
        "i386_system_call",
        """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        # mov eax, 20 (getpid of i386); int 0x80; ret
        page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        found = function()
        if found > 0:
            attempt("int 0x80", lambda: found)
        """,
    ),
    Attack(
        "names",
        """
        import socket
        for name in ("example.com", "localhost", "127.0.0.1"):
            attempt(name, lambda: socket.getaddrinfo(name, 80))
        attempt("host name", lambda: socket.gethostbyname(socket.gethostname()))
        hits[:] = [hit for hit in hits if "ESCAPED 127.0.0.1" not in hit]  # no look-up: the text is the address
        """,
        gets_through=True,
    ),
    Attack(
        "libraries",
        """
        import asyncio, urllib.request
        url = "http://127.0.0.1:%d/" % WORLD["tcp"]
        attempt("urllib", lambda: urllib.request.urlopen(url, timeout=0.1).read())
        attempt("asyncio", lambda: asyncio.run(asyncio.open_connection("127.0.0.1", WORLD["tcp"])))
        """,
        gets_through=True,
    ),
    Attack(
        "inherited_sockets",
        """
        import os, socket
        for fd in range(1024):
            try:
                one = socket.socket(fileno=fd)
            except OSError:
                continue
            one.settimeout(0.05)
            attempt("name", lambda: one.getpeername() or 1 / 0)
            attempt("connect", lambda: one.connect(("127.0.0.1", WORLD["tcp"])))
            one.detach()
        """,
    ),
)
