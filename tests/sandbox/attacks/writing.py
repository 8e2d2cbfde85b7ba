"""Writing outside: files, devices, kernel settings."""

from attacks.attack import Attack

ATTACKS = (
    Attack(
        "overwriting",
        """
        for mode in ("w", "a", "r+"):
            attempt(mode, lambda: open(WORLD["writable"], mode).write("changed"))
        import os
        attempt("truncate", lambda: os.truncate(WORLD["writable"], 1))
        """,
        gets_through=True,
    ),
    Attack(
        "creating",
        """
        import os
        attempt("file", lambda: open(WORLD["everyones"] + "/new", "x").write("x"))
        attempt("folder", lambda: os.mkdir(WORLD["everyones"] + "/newer"))
        attempt("fifo", lambda: os.mkfifo(WORLD["everyones"] + "/fifo"))
        attempt("link", lambda: os.symlink("/", WORLD["everyones"] + "/link"))
        attempt("device", lambda: os.mknod(WORLD["everyones"] + "/null", 0o20666, os.makedev(1, 3)))
        """,
        gets_through=True,
    ),
    Attack(
        "moving_and_removing",
        """
        import os
        attempt("rename", lambda: os.rename(WORLD["writable"], WORLD["everyones"] + "/moved"))
        attempt("move in", lambda: os.rename(WORLD["everyones"] + "/moved", "mine"))
        attempt("unlink", lambda: os.unlink(WORLD["readable"]))
        """,
        gets_through=True,
    ),
    Attack(
        "permissions_and_times",
        """
        import os
        attempt("chmod", lambda: os.chmod(WORLD["private"], 0o666))
        attempt("utime", lambda: os.utime(WORLD["readable"], (1, 1)))
        attempt("xattr", lambda: os.setxattr(WORLD["readable"], "user.canary", b"x"))
        attempt("chown", lambda: os.chown(WORLD["private"], os.getuid(), os.getgid()))
        """,
        gets_through=True,
    ),
    Attack(
        "through_links",
        """
        import os
        os.symlink(WORLD["writable"], "link")
        attempt("link", lambda: open("link", "w").write("x"))
        attempt("proc", lambda: open("/proc/self/root" + WORLD["writable"], "w").write("x"))
        attempt("climb", lambda: open("../" * 40 + WORLD["writable"], "w").write("x"))
        at = os.open("/", os.O_PATH)
        attempt("openat", lambda: os.write(os.open(WORLD["writable"][1:], os.O_WRONLY, dir_fd=at), b"x"))
        """,
        gets_through=True,
    ),
    Attack(
        "stray_files",
        """
        import os
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/", "/etc", "/root", WORLD["home"], ".."):
            try:
                open(os.path.join(folder, WORLD["stray"]), "w").write("x")
            except OSError:
                pass
        """,
        gets_through=True,
    ),
    Attack(
        "kernel_settings",
        """
        for path in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory"):
            attempt(path, lambda: open(path, "r+").close())
        attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w").close())
        attempt("oom", lambda: open("/proc/self/oom_score_adj", "w").write("-999"))
        attempt("parent", lambda: open("/proc/%d/oom_score_adj" % WORLD["pid"], "w").close())
        """,
        gets_through=True,
    ),
    Attack(
        "control_groups",
        """
        import os
        for group in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"):
            path = group + "/" + WORLD["stray"]
            attempt(path, lambda: (os.mkdir(path), os.rmdir(path)))
        """,
        gets_through=True,
        needs_root=True,
    ),
    Attack(
        "devices",
        """
        import os
        for path in ("/dev/kmsg", "/dev/mem", "/dev/port", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/ptmx"):
            attempt(path, lambda: os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
        """,
        gets_through=True,
        needs_root=True,
    ),
    Attack(
        "terminal",
        """
        import fcntl, os, termios
        attempt("tty", lambda: os.write(os.open("/dev/tty", os.O_RDWR), b"\\a"))
        attempt("push", lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"))
        attempt("attributes", lambda: termios.tcgetattr(0))
        attempt("own terminal", lambda: os.openpty())
        """,
        gets_through=True,
    ),
    Attack(
        "the_interpreter_itself",
        """
        import json, os, sys
        for path in (os.__file__, json.__file__, sys.executable):
            attempt(path, lambda: open(path, "r+b").close())
        attempt("site", lambda: open(os.path.join(os.path.dirname(os.__file__), WORLD["stray"] + ".pth"), "x").close())
        """,
    ),
    Attack(
        "core_dump",
        """
        import os, resource
        attempt("limit", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
        os.abort()
        """,
        must_fail=True,
    ),
)
