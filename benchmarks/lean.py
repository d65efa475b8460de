"""The least that scoring can be: recorded responses in, the three tables out, on some threads.

A shard of RUN/pool/ is asked, judged and scored in one go and in memory, by the very engine, judge
and score function that `qibox score` calls, and each table is written once, with the same columns
and Parquet options. It has no resume, no checks, no progress, and judges every response anew.

Run: python benchmarks/lean.py /tmp/qibox-bench/panel.yaml RUN OUT --threads 2
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.engines.base import Engine
from qibox.engines.load import load_engine
from qibox.judges.base import Judge
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, PanelManifest, load_manifest
from qibox.responses import split_reasoning
from qibox.run.storage import PARQUET_OPTIONS
from qibox.scores import score_samples
from qibox.tables import IMAGE, JUDGMENTS, PROMPTS, RESPONSES

COLUMNS = ["sample_id", "question"]
SCORED = ["sample_id", "model", "score", "safe"]


def write(table: pa.Table, path: Path) -> None:
    """Write one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **PARQUET_OPTIONS)


def respond(engine: Engine, model: str, panel: PanelManifest, samples: pa.Table) -> pa.Table:
    """One model's rows of the responses table."""
    n = len(samples)
    columns = [samples["sample_id"], pa.nulls(n, pa.string()), samples["question"]]
    prompts = pa.table([*columns, pa.nulls(n, IMAGE)], schema=PROMPTS)
    done = engine.generate(prompts, panel.sampling)
    text = done["text"].combine_chunks()
    texts = [text, *split_reasoning(text)]
    rest = [done["finish_reason"], done["tokens"], done["reason"]]
    names = pa.repeat(model, len(done))
    return pa.table([done["key"], names, done["k"], *texts, *rest], schema=RESPONSES)


def rate(judge: Judge, samples: pa.Table, said: pa.Table) -> pa.Table:
    """The rows of the judgments table on some responses."""
    verdicts = judge.judge(samples, said)
    head = [said["sample_id"], pa.repeat("hash", len(said)), said["model"], said["k"]]
    return pa.table([*head, *verdicts.columns], schema=JUDGMENTS)


def do_shard(
    panel: PanelManifest, engines: dict[str, Engine], judge: Judge, out: Path, path: Path
) -> None:
    """Ask, judge and score one shard."""
    samples = pq.read_table(path, columns=COLUMNS)
    judged = []
    for model, engine in engines.items():
        said = respond(engine, model, panel, samples)
        write(said, out / f"responses/model={model}" / path.name)
        rated = rate(judge, samples, said)
        write(rated, out / f"judgments/judge=hash/model={model}" / path.name)
        judged.append(rated.select(SCORED))
    ids, judgments = samples["sample_id"].combine_chunks(), pa.concat_tables(judged)
    scores = score_samples(ids, judgments, panel.min_models, panel.min_responses)
    write(scores, out / "scores" / path.name)


def main() -> None:
    """Do it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("panel", type=Path)
    parser.add_argument("run", type=Path, help="its pool's shards are read")
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    panel = load_manifest(PanelManifest, str(arguments.panel))
    engines = {model: load_engine(model, spec) for model, spec in panel.models.items()}
    judge = load_judge(load_manifest(JudgeManifest, "hash"))
    work = partial(do_shard, panel, engines, judge, arguments.out)
    print("started", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(arguments.threads) as threads:
        for _ in threads.map(work, sorted(arguments.run.glob("pool/*.parquet"))):
            pass


if __name__ == "__main__":
    main()
