"""Changing what the next run finds: the interpreter, its files, its process."""

from attacks.attack import Attack

ATTACKS = (
    Attack(
        "patched_builtins",
        """
        import builtins
        for name in ("len", "repr", "str", "isinstance", "print", "sum", "sorted", "open", "compile", "exec", "eval"):
            setattr(builtins, name, lambda *args, **named: "changed")
        builtins.__import__ = None
        """,
    ),
    Attack(
        "patched_modules",
        """
        import ast, json, math, os, re, sys, traceback
        for module in (json, json.encoder, math, os, re, ast, traceback):
            for name in list(vars(module)):
                if not name.startswith("__"):
                    setattr(module, name, lambda *args, **named: "changed")
        """,
    ),
    Attack(
        "emptied_modules",
        "import sys\nsys.modules.clear()\nsys.path.clear()\nsys.meta_path.clear()\nsys.path_hooks.clear()",
    ),
    Attack(
        "replaced_modules",
        """
        import sys, types
        for name in ("json", "math", "re", "random", "decimal"):
            fake = types.ModuleType(name)
            fake.__getattr__ = lambda name: (lambda *args, **named: "changed")
            sys.modules[name] = fake
        """,
    ),
    Attack(
        "settings_of_the_interpreter",
        """
        import decimal, gc, locale, os, random, signal, sys, threading
        sys.setrecursionlimit(60)
        sys.setswitchinterval(1000)
        sys.set_int_max_str_digits(0)
        decimal.getcontext().prec = 2
        gc.disable()
        gc.callbacks.append(print)
        os.umask(0)
        random.seed(0)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
            signal.signal(one, signal.SIG_IGN)
        threading.stack_size(1 << 24)
        sys.setrecursionlimit(1000)
        """,
    ),
    Attack(
        "environment_and_folder",
        "import os\nos.environ['HOME'] = os.environ['PYTHONSTARTUP'] = 'changed'\nos.chdir('/')",
    ),
    Attack(
        "hooks",
        """
        import atexit, sys
        sys.addaudithook(lambda *event: None)
        sys.excepthook = sys.displayhook = sys.unraisablehook = lambda *args: None
        atexit.register(print, "ESC" + "APED")
        class Finder:
            def find_spec(self, *args):
                raise ImportError("changed")
        sys.meta_path.insert(0, Finder())
        """,
    ),
    Attack(
        "trace_functions",
        "import sys, threading\ndef t(*args):\n    return t\nsys.settrace(t)\nsys.setprofile(t)\nthreading.settrace(t)",
    ),
    Attack(
        "files_left_behind",
        """
        import os, tempfile
        for folder in (".", tempfile.gettempdir()):
            for name in ("left", ".hidden", "json.py", "sitecustomize.py", "usercustomize.py"):
                try:
                    open(os.path.join(folder, WORLD["stray"] if folder != "." else name), "w").write("x = 1")
                except OSError:
                    pass
        os.mkdir("folder")
        os.chmod("folder", 0)
        os.chmod(".", 0)
        """,
    ),
    Attack(
        "timers_left_behind",
        """
        import os, signal
        signal.setitimer(signal.ITIMER_REAL, 1.2)
        signal.alarm(2)
        """,
    ),
    Attack(
        "forged_frames_above",
        """
        import sys
        frame = sys._getframe()
        while frame:
            frame.f_globals["json"] = None
            frame.f_globals.update({name: None for name in list(frame.f_globals) if name.islower()})
            frame = frame.f_back
        """,
    ),
    Attack(
        "objects_of_the_sandbox",
        """
        import gc, types
        for thing in gc.get_objects():
            if type(thing) is dict and "__name__" in thing and "process" in str(thing.get("__name__")):
                thing.clear()
            if type(thing) is types.FunctionType and thing.__module__ == "__main__":
                thing.__code__ = (lambda *args, **named: "changed").__code__
        """,
    ),
    Attack(
        "freed_none",
        """
        import ctypes
        ctypes.memset(id(()) , 0, 16)
        """,
    ),
)
