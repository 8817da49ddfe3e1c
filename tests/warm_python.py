"""A Python that has imported torch, MACE and PySCF already: it forks for each job, instead of importing for seconds.

``python -m tests.warm_python SOCKET`` listens until its standard input closes. :class:`WarmPython` starts it and writes
``python``, a client that is called as an interpreter is (``python -m MODULE …``, ``python SCRIPT …``) and hands folder,
environment, arguments and the three standard streams to a fork of the server. A signal that ends the client, or a
client that is gone, ends the fork.

Of aiida_mlcc the server itself imports nothing: a fork takes it from its ``PYTHONPATH``, the zip that the job brings.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path
from typing import Any

PRELOADED = (
    'aiida_vasp.commands.mock_vasp',
    'ase.calculators.calculator',
    'ase.filters',
    'ase.io',
    'ase.neighborlist',
    'ase.optimize',
    'ase.spacegroup.symmetrize',
    'mace.modules',
    'mace.data',
    'phonopy',
    'pyscf.cc.dfccsd',
    'pyscf.pbc.cc',
    'pyscf.pbc.df',
    'pyscf.pbc.dft',
    'pyscf.pbc.gto',
    'pyscf.pbc.mp',
    'pyscf.pbc.scf',
    'safetensors.numpy',
    'scipy.optimize',
    'scipy.signal',
    'scipy.sparse',
    'scipy.stats',
    'seekpath',
    'spglib',
    'symfc',
    'torch',
)

_CLIENT = """#!{python} -SI
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = {{'arguments': sys.argv[1:], 'folder': os.getcwd(), 'environment': dict(os.environ)}}
socket.send_fds(server, [b'.'], [0, 1, 2])
server.sendall(json.dumps(request).encode() + b'\\n')
answers = server.makefile()
child = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: os.kill(child, number))
code = int(answers.readline() or 255)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class WarmPython:
    """The server as a process of its own, and the path of its client."""

    def __init__(self, folder: Path) -> None:
        self.executable = folder / 'python'
        address = folder / 'socket'
        self.executable.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
        self.executable.chmod(0o755)
        command = [sys.executable, '-m', 'tests.warm_python', str(address)]
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        root = Path(__file__).parents[1]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=root, env=environment)
        while not address.exists():
            assert self._server.poll() is None, 'the warm Python ended before it was ready'
            time.sleep(0.05)

    def close(self) -> None:
        """End the server, and with it its forks."""
        self._server.stdin.close()
        self._server.wait()


def serve(address: str) -> None:  # noqa: C901
    """Fork for each client, and tell it the fork's number and, in the end, its exit code."""
    before = dict(os.environ)
    for module in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    with contextlib.suppress(ImportError):
        take_networks_as_they_come()
    if not os.environ.get('MLCC_PLAIN_AIIDA'):
        with contextlib.suppress(ImportError):
            quick = importlib.import_module('tests.quick_symmetry')
            quick.install()
            quick.keep_basis_sets(Path(address).parent)
    set_by_imports = {name: value for name, value in os.environ.items() if before.get(name) != value}
    # The client finds the address when it is ready for it, not before.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f'{address}.early')
    listener.listen(64)
    os.rename(f'{address}.early', address)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    source = _Source()
    clients: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([0, woken, listener, *clients.values()], [], [])
        if 0 in ready and not os.read(0, 1):
            break
        if woken in ready:
            os.read(woken, 4096)
            for child in list(clients):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    with contextlib.suppress(OSError), clients.pop(child) as client:
                        client.sendall(f'{os.waitstatus_to_exitcode(status)}\n'.encode())
        for child, client in clients.items():
            if client in ready:  # It says nothing more, so it is gone.
                os.kill(child, signal.SIGKILL)
        if listener in ready:
            client, _ = listener.accept()
            _, streams, _, _ = socket.recv_fds(client, 1, 3)
            request = json.loads(client.makefile().readline())
            source.take(request)
            child = os.fork()
            if not child:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for descriptor in (woken, wake):
                    os.close(descriptor)
                for connection in (listener, client, *clients.values()):
                    connection.close()
                _run(request, streams, set_by_imports)
            for stream in streams:
                os.close(stream)
            with contextlib.suppress(OSError):
                client.sendall(f'{child}\n'.encode())
            clients[child] = client
    for child in clients:
        os.kill(child, signal.SIGKILL)


def take_networks_as_they_come() -> None:
    """Optimise neither the order of a network's contractions nor its compiled code: tests make a few steps with it."""
    importlib.import_module('e3nn').set_optimization_defaults(optimize_einsums=False)
    importlib.import_module('torch')._C._set_graph_executor_optimize(False)


class _Source:
    """Modules of aiida_mlcc that the server has imported from the zips of jobs, as long as these agree."""

    def __init__(self) -> None:
        self._checksums: dict[str, int] = {}

    def take(self, request: dict[str, Any]) -> None:
        """Import what is new in the job's zip; note in the request its modules, or None where the job has to import."""
        request['zip'] = first = request['environment'].get('PYTHONPATH', '').split(os.pathsep)[0]
        request['modules'] = None
        if not first.endswith('.zip') or not zipfile.is_zipfile(first):
            return
        with zipfile.ZipFile(first) as archive:
            names = {
                info.filename.removesuffix('.py').replace('/', '.').removesuffix('.__init__'): info.CRC
                for info in archive.infolist()
                if not info.filename.endswith('__main__.py')
            }
        if any(self._checksums.get(name, checksum) != checksum for name, checksum in names.items()):
            return
        sys.path.insert(0, first)
        _look_in(first)
        try:
            for name in sorted(set(names) - set(self._checksums)):
                importlib.import_module(name)
        except ImportError:
            return
        finally:
            sys.path.remove(first)
        self._checksums |= names
        request['modules'] = list(names)


def _ours() -> list[str]:
    return [name for name in sys.modules if name.partition('.')[0] == 'aiida_mlcc']


def _look_in(archive: str) -> None:
    """Let the packages of aiida_mlcc that are imported find their modules in this zip."""
    for name in _ours():
        if hasattr(sys.modules[name], '__path__'):
            sys.modules[name].__path__ = [f'{archive}/{name.replace(".", "/")}']


def _run(request: dict[str, Any], streams: list[int], set_by_imports: dict[str, str]) -> None:
    """Become the interpreter that the client asked for; this does not return."""
    code: Any = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request['folder'])
        os.environ.clear()
        os.environ.update(set_by_imports | request['environment'])
        for name in _ours():
            if name not in (request['modules'] or ()):
                del sys.modules[name]
        _look_in(request['zip'])
        paths = [path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path]
        here = [str(Path(__file__).parents[1]), '']
        sys.path[:] = paths + [path for path in sys.path if path not in here]
        importlib.invalidate_caches()
        words = request['arguments']
        if words[0] == '-m':
            sys.argv[:] = words[1:]
            runpy.run_module(words[1], run_name='__main__', alter_sys=True)
        else:
            sys.argv[:] = words
            runpy.run_path(words[0], run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == '__main__':
    serve(sys.argv[1])
