"""How much of raw vLLM's speed `qibox score` keeps while a model answers.

Raw: one `LLM.chat` over all prompts, pictures decoded beforehand, with the settings that qibox
gives vLLM. qibox: the stage of `qibox score` in which one model answers: it reads the pool's
shards, makes prompts, asks the same vLLM in its child process and writes the responses' shards.
Both draw the same tokens from the same prompts with the same seeds. Each has its vLLM in a process
of its own and waits while the other is at work; after a warm-up they take turns, and the medians
of their tokens a second are compared. Beside other work on the same cores wall time says little:
the line before the last compares tokens by processor time, user and system, of all processes.

    python benchmarks/vllm_share.py

Last line: `share: VALUE`.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from qibox.engines.load import load_engine, resolve_model
from qibox.manifests import PanelManifest
from qibox.mini.pool import iter_samples
from qibox.run.layout import pool_path, responses_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.generate import AskModel
from qibox.tables import POOL

MODEL = "strong"
SHARD = 1000  # samples
WARM_UP = 64  # prompts


def panel_of(samples: int, max_tokens: int, own_process: bool) -> PanelManifest:
    """One shipped model on vLLM."""
    settings = {"max_model_len": 256, "own_process": own_process}
    spec = {"source": f"builtin:{MODEL}", "engine": "vllm", "settings": settings}
    sampling = {"samples": samples, "temperature": 1.0, "max_tokens": max_tokens}
    fields = {"name": "one", "about": "", "models": {MODEL: spec}, "sampling": sampling}
    panel = PanelManifest.model_validate(fields)
    return panel.model_copy(update={"models": {MODEL: resolve_model(panel.models[MODEL], MODEL)}})


def asking(panel: PanelManifest) -> AskModel:
    """The stage in which the panel's model answers."""
    return AskModel(MODEL, panel.models[MODEL], panel.prompt, panel.sampling)


def raw(link: Connection, panel: PanelManifest, rows: list[dict[str, Any]]) -> None:
    """A process with a plain vLLM: for each number that it is sent, it asks so many prompts.

    It sends back the tokens, the seconds, and the seconds of processor time.
    """
    from qibox.engines.noise import prompt_seed
    from qibox.engines.sources import local_directory
    from qibox.engines.vllm import arguments, prepare_environment
    from qibox.manifests.settings import VLLMSettings
    from qibox.pool.images import decode_image
    from qibox.torchvision_ops import declare_missing_operators

    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    declare_missing_operators()
    import torch

    settings = VLLMSettings.model_validate(panel.models[MODEL].settings)
    gpu = torch.cuda.is_available()
    prepare_environment(settings, gpu)
    import vllm

    model = vllm.LLM(model=str(local_directory(f"builtin:{MODEL}")), **arguments(settings, gpu))
    how = panel.sampling
    params = [
        vllm.SamplingParams(
            n=how.samples,
            temperature=how.temperature,
            max_tokens=how.max_tokens,
            seed=prompt_seed(how.seed, MODEL, row["sample_id"]),
        )
        for row in rows
    ]
    talks = [
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_pil", "image_pil": decode_image(row["image"]["bytes"])},
                    {"type": "text", "text": row["question"]},
                ],
            }
        ]
        for row in rows
    ]
    link.send(None)
    while (count := link.recv()) is not None:
        started, used = time.perf_counter(), processor_time([os.getpid()])
        outputs = model.chat(talks[:count], params[:count], use_tqdm=False)
        tokens = sum(len(o.token_ids) for each in outputs for o in each.outputs)
        used = processor_time([os.getpid()]) - used
        link.send((tokens, time.perf_counter() - started, used))


def processor_time(pids: list[int]) -> float:
    """Seconds, user and system, that these processes and those below them have taken so far."""
    every = {p for pid in pids for p in (pid, *_below(pid))}
    times = [psutil.Process(pid).cpu_times() for pid in every]
    return sum(each.user + each.system for each in times)


def _below(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def main() -> None:
    """Start both, warm up, take turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=1, help="K, completions of a request")
    parser.add_argument("--max-tokens", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--own-process", action="store_true", help="as with a GPU")
    given = parser.parse_args()
    panel = panel_of(given.samples, given.max_tokens, given.own_process)
    rows = list(iter_samples("heldout", given.requests))
    rows = [{**row, "sample_id": f"{i}"} for i, row in enumerate(rows)]
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=raw, args=(there, panel, rows))
    other.start()
    here.recv()
    stage = asking(panel)
    engine = load_engine(MODEL, panel.models[MODEL])
    speeds: dict[str, list[float]] = {"raw": [], "qibox": []}
    thrift: dict[str, list[float]] = {"raw": [], "qibox": []}  # tokens a second of processor time
    try:
        with tempfile.TemporaryDirectory() as folder:
            storage = Storage(Path(folder))
            units = make_pool(storage, rows)
            here.send(WARM_UP)
            here.recv()
            first = Unit(units[0].path, "warm", 0, WARM_UP, units[0].pool, model=MODEL)
            stage.do(engine, storage, [first], lambda _: None)
            for turn in range(given.rounds):
                here.send(len(rows))
                tokens, seconds, used = here.recv()
                speeds["raw"].append(tokens / seconds)
                thrift["raw"].append(tokens / used)
                started, used = time.perf_counter(), own_time(engine)
                stage.do(engine, storage, units, lambda _: None)
                seconds, used = time.perf_counter() - started, own_time(engine) - used
                own = sum(
                    sum(storage.read_table(unit.path, ["tokens"])["tokens"].to_pylist())
                    for unit in units
                )
                speeds["qibox"].append(own / seconds)
                thrift["qibox"].append(own / used)
                each = (f"{kind[side][-1]:,.0f}" for kind in (speeds, thrift) for side in kind)
                print(
                    f"round {turn}: {tokens:,} and {own:,} tokens; raw and qibox a second "
                    f"{' and '.join(list(each))} (the latter two of processor time)",
                    flush=True,
                )
    finally:
        engine.close()
        here.send(None)
        other.join()
    wall, processor = (
        statistics.median(kind["qibox"]) / statistics.median(kind["raw"])
        for kind in (speeds, thrift)
    )
    print(f"share by processor time: {processor:.3f}")
    print(f"share: {wall:.3f}")


def own_time(engine: Any) -> float:
    """Processor time of this process's threads and of the engine's process, so far, in seconds."""
    return time.process_time() + processor_time([engine.pid])


def make_pool(storage: Storage, rows: list[dict[str, Any]]) -> list[Unit]:
    """Write the samples as shards; the units in which the model answers them."""
    units = []
    for shard, start in enumerate(range(0, len(rows), SHARD)):
        part = rows[start : start + SHARD]
        storage.write_table(pool_path(shard), pa.Table.from_pylist(part, schema=POOL))
        path = responses_path(MODEL, shard)
        units.append(Unit(path, "key", shard, len(part), pool_path(shard), model=MODEL))
    return units


if __name__ == "__main__":
    main()
