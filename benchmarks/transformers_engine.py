"""Tokens per second and memory of the transformers engine on a model of full size.

No real weights are needed: the model has the sizes of Qwen2.5-VL-3B (its published configuration)
and random weights, saved as safetensors and loaded through the engine's own loading code. Random
weights seldom end a text, so each completion has `--max-tokens` tokens: a fixed amount of work.
The tokenizer and processor are the miniature models'; speed does not depend on whose they are.

    python benchmarks/transformers_engine.py --prompts 64 --samples 5 --max-tokens 256

Last line: `tokens_per_second: VALUE`.
"""

import argparse
import io
import json
import platform
import shutil
import tempfile
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from qibox.engines.load import start_transformers
from qibox.manifests.sampling import Sampling
from qibox.tables import PROMPTS

TEXT = {
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 128000,
}
VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 2048,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
MINIATURE = "strong"
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 1000 * 1000}  # pixels of a picture, not shrunk


def make_model(folder: Path) -> int:
    """Write a 3B-sized model with random weights; returns its number of parameters."""
    import torch
    from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

    shipped = Path(str(resources.files("qibox.mini"))) / "models" / MINIATURE
    shutil.copytree(shipped, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0}
    config["text_config"].update(TEXT, layer_types=["full_attention"] * TEXT["num_hidden_layers"])
    for name in ("rope_parameters", "rope_scaling"):
        if name in config["text_config"]:
            config["text_config"][name] = rope
    config["vision_config"].update(VISION)
    config.update({name: TEXT[name] for name in TEXT if name in config})
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration(AutoConfig.from_pretrained(folder)).bfloat16()
    model.save_pretrained(folder)
    parameters = sum(p.numel() for p in model.parameters())
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
    return parameters


def make_prompts(count: int, side: int) -> pa.Table:
    """Pictures of noise, `side` pixels square, each with a question."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(count):
        image = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        file = io.BytesIO()
        image.save(file, "JPEG")
        question = "what is in this picture ? " * 4
        picture = {"bytes": file.getvalue(), "path": None}
        rows.append({"key": f"s{i}", "system": None, "text": question, "image": picture})
    return pa.Table.from_pylist(rows, schema=PROMPTS)


def main() -> None:
    """Build, load, warm up, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--side", type=int, default=448, help="pixels of a picture's side")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 256])
    given = parser.parse_args()

    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    import torch

    gpu = torch.cuda.is_available()
    print("device", torch.cuda.get_device_name() if gpu else platform.processor())
    prompts = make_prompts(given.prompts, given.side)
    sampling = Sampling(samples=given.samples, max_tokens=given.max_tokens, seed=0)
    best = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        print(f"parameters {make_model(folder) / 1e9:.2f} B")
        for size in given.batch_size:
            started = time.perf_counter()
            settings = {"batch_size": size, "isolate": False, "processor": {"size": SIZE}}
            engine = start_transformers("bench", str(folder), settings)
            loaded = time.perf_counter() - started
            engine.generate(prompts.slice(0, 2), sampling.model_copy(update={"max_tokens": 8}))
            if gpu:
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            done = engine.generate(prompts, sampling)
            seconds = time.perf_counter() - started
            failed = done["reason"].drop_null()
            assert len(failed) == 0, failed[0]
            rate = sum(done["tokens"].to_pylist()) / seconds
            peak = torch.cuda.max_memory_allocated() / 2**30 if gpu else float("nan")
            print(
                f"sequences at once {size}: load {loaded:.1f} s, {seconds:.1f} s, "
                f"{rate:.0f} tokens/s, peak {peak:.1f} GiB"
            )
            best = max(best, rate)
            engine.close()
    print(f"tokens_per_second: {best:.0f}")


if __name__ == "__main__":
    main()
