"""A Python that has loaded the libraries before it starts: most of a short job is the import of torch, pandas or Snakemake.

A server has loaded them, and nothing of interslice. `warm_python` is used like `python`: the server makes a copy of itself
(fork) in which the program or module runs, with the arguments, folder, environment and output of the caller. So every
job is a process of its own that has interslice from where it is told to; only the libraries were there before. Signals to
the caller do not reach it: what is about signals and imports is tested with the real Python.
"""

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOADED = """
    snakemake.cli snakemake.executors.local snakemake.script snakemake_executor_plugin_slurm numpy pandas pyarrow.parquet
    scipy.interpolate scipy.ndimage scipy.optimize scipy.stats skimage.filters skimage.metrics nibabel pydicom SimpleITK
    matplotlib.figure matplotlib.ticker matplotlib.backends.backend_agg matplotlib.backends.backend_pdf PIL.Image jinja2
    jsonschema psutil tqdm sewar.full_ref tabulate requests torch._dynamo torchvision lpips
"""
# As `python -IS`: it has nothing to import.
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(call).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(call)
    ended = server.recv(1)
if not ended:  # killed, so this one is too
    os.kill(os.getpid(), 9)
sys.exit(ended[0])
"""


@functools.cache
def python() -> str:
    """The program `warm_python`, of a server that all pytest workers share and that ends with pytest."""
    pytest = int(os.environ["PYTEST_PROCESS"])
    folder = Path(tempfile.gettempdir()) / f"warm-python-{pytest}"
    program, address = folder / "warm_python", folder / "address"
    folder.mkdir(mode=0o700, exist_ok=True)
    with open(folder / "lock", "w") as lock, open(folder / "log.txt", "ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, str(address), str(pytest)]
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            while not address.exists():
                assert server.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.05)
            program.write_text(CLIENT.format(python=sys.executable, address=str(address)))
            program.chmod(0o755)
    return str(program)


def serve(address: str, while_runs: int) -> None:
    """Load the libraries, then answer as long as a process runs."""
    for name in LOADED.split():
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the first collection of every copy copies all that was loaded
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{address}.new")
        server.listen(64)
        server.settimeout(1)
        os.rename(f"{address}.new", address)
        while alive(while_runs):
            with contextlib.suppress(TimeoutError):
                caller, _ = server.accept()
                if os.fork() == 0:
                    server.close()
                    answer(caller, str(Path(address).parent / "warm_python"))
                caller.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def answer(caller: socket.socket, program: str) -> None:
    """In the copy: run what the caller wants, and tell it how that ended."""
    caller.setblocking(True)
    size, descriptors, _, _ = socket.recv_fds(caller, 8, 3)
    with caller.makefile("rb") as given:
        arguments, folder, environment = json.loads(given.read(int.from_bytes(size, "big")))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.executable = program
    code = 1
    try:
        code = run(arguments[1:]) % 256
    finally:
        with contextlib.suppress(OSError):
            caller.sendall(bytes([code]))
        os._exit(code)


def run(arguments: list[str]) -> int:
    """`python -m MODULE ARGUMENTS`, `-c CODE ARGUMENTS` or `PROGRAM ARGUMENTS`; what it would exit with."""
    import atexit
    import traceback

    code = 0
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path[0] = os.getcwd()
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        elif arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            sys.path[0] = ""
            exec(arguments[1], {"__name__": "__main__"})
        else:
            sys.argv = arguments
            sys.path[0] = str(Path(arguments[0]).resolve().parent)
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # pytest's
    serve(sys.argv[1], int(sys.argv[2]))
    shutil.rmtree(Path(sys.argv[1]).parent)
