"""The least that scoring can be: a loop over files with pyarrow, the engine and the judge.

Reads RUN/pool/ of a scored run and writes OUT/{responses,judgments,scores}/ with the same columns
and Parquet options. It has no resume, no checks, no progress, and judges every response anew.

Run: python benchmarks/bare.py /tmp/qibox-bench/panel.yaml RUN OUT
"""

import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.engines.load import load_engine
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, PanelManifest, load_manifest
from qibox.responses import split_reasoning
from qibox.run.storage import PARQUET_OPTIONS
from qibox.scores import score_samples
from qibox.tables import IMAGE, JUDGMENTS, PROMPTS, RESPONSES


def write(table: pa.Table, path: Path) -> None:
    """Write one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **PARQUET_OPTIONS)


def generate(panel: PanelManifest, pool: list[Path], out: Path) -> None:
    """Read pool, call engine, write responses."""
    for model, spec in panel.models.items():
        engine = load_engine(model, spec)
        for path in pool:
            samples = pq.read_table(path, columns=["sample_id", "question"])
            n = len(samples)
            columns = [samples["sample_id"], pa.nulls(n, pa.string()), samples["question"]]
            prompts = pa.table([*columns, pa.nulls(n, IMAGE)], schema=PROMPTS)
            done = engine.generate(prompts, panel.sampling)
            reasoning, answer = split_reasoning(done["text"].combine_chunks())
            names = pa.repeat(model, len(done))
            texts = [done["text"], reasoning, answer]
            rest = [done["finish_reason"], done["tokens"], done["reason"]]
            rows = pa.table([done["key"], names, done["k"], *texts, *rest], schema=RESPONSES)
            write(rows, out / f"responses/model={model}" / path.name)
        engine.close()


def judge(panel: PanelManifest, pool: list[Path], out: Path) -> None:
    """Read, judge, write."""
    judge = load_judge(load_manifest(JudgeManifest, "hash"))
    for model in panel.models:
        for path in pool:
            samples = pq.read_table(path)
            said = pq.ParquetFile(out / f"responses/model={model}" / path.name).read()
            verdicts = judge.judge(samples, said)
            name = pa.repeat("hash", len(said))
            head = [said["sample_id"], name, said["model"], said["k"]]
            rows = pa.table([*head, *verdicts.columns], schema=JUDGMENTS)
            write(rows, out / f"judgments/judge=hash/model={model}" / path.name)
    judge.close()


def score(panel: PanelManifest, pool: list[Path], out: Path) -> None:
    """Read, score, write."""
    columns = ["sample_id", "model", "score", "safe"]
    for path in pool:
        ids = pq.read_table(path, columns=["sample_id"])["sample_id"].combine_chunks()
        files = [out / f"judgments/judge=hash/model={m}" / path.name for m in panel.models]
        judgments = pa.concat_tables(pq.ParquetFile(f).read(columns) for f in files)
        scores = score_samples(ids, judgments, panel.min_models, panel.min_responses)
        write(scores, out / "scores" / path.name)


def main() -> None:
    """Do it all, telling how long each step took."""
    panel = load_manifest(PanelManifest, sys.argv[1])
    pool = sorted(Path(sys.argv[2]).glob("pool/*.parquet"))
    print("started", file=sys.stderr, flush=True)
    for step in (generate, judge, score):
        started = time.perf_counter()
        step(panel, pool, Path(sys.argv[3]))
        print(
            f"{step.__name__}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True
        )


if __name__ == "__main__":
    main()
