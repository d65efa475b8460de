# ruff: noqa: E501  the page's paragraphs
"""Writes docs/sql.md: the questions of data_manifests/cookbook.yaml with their answers on a run.

The page's answers are of the miniature run, a random selection of the same size beside the box's, a
profile of the policy before training, and, in a copy of it, a second judge that knows nothing:

    qibox demo
    qibox select --random 418 --name control
    qibox profile --limit 300
    cp -r runs/mini runs/twice
    qibox score --judge oracle --judge hash --rescore judgments --out runs/twice
    python -m tests.tools.cookbook runs/mini runs/twice
"""

import sys
from pathlib import Path
from typing import Final

import qibox
from qibox.catalog.about import ABOUT
from qibox.catalog.cookbook import Question, load_cookbook
from qibox.cli.cells import cell, plain
from qibox.opened import OpenRun

PAGE: Final = Path(__file__).parents[2] / "docs/sql.md"
TWICE: Final = ("judges-differ",)  # asked of the run with two judges
LONGEST: Final = 90  # characters of a cell

HEAD: Final = """# Asking a run in SQL

`qibox sql` shows a run as views and answers one reading statement of [DuckDB's SQL](https://duckdb.org/docs/stable/sql/introduction):

{views}

```
qibox sql "select * from scores order by instability desc limit 5"
qibox sql runs/mini "select reason, count(*) from rejects group by all" --format csv
qibox sql "select * from judgments where not safe" -o unsafe.parquet
qibox sql --export mini.duckdb
```

On a terminal, `qibox sql` without a query asks for queries: they go over as many lines as they like and end with `;`, Tab completes views and columns, what was typed comes back with ↑ another day, long answers go through `$PAGER`, Ctrl-C ends a query and not the program. `.views` and `.schema scores` say what there is to ask. A run is only ever read: a statement that is none of SELECT, WITH, VALUES, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN is refused, and no query reaches a file. What `--export` writes holds every view as a plain table; pictures only with `--pictures`.

The scores of a run are its first judge's. Missing is NULL, and `rejects` says why.

Below are questions that people ask, with the answers of the miniature run (`make demo`, then `qibox select --random 418 --name control` and `qibox profile --limit 300`). The page of `qibox explore` has the same queries to pick.
"""


def page(run: OpenRun, twice: OpenRun) -> str:
    """The page's text, with the answers of these runs."""
    views = "\n".join(f"- `{view}`: {about}" for view, about in ABOUT.items())
    parts = [HEAD.format(views=views)]
    for question in load_cookbook():
        parts.append(section(question, twice if question.name in TWICE else run))
    return "\n".join(parts)


def section(question: Question, run: OpenRun) -> str:
    """A question, its query and its answer."""
    note = ""
    if question.name in TWICE:
        note = (
            "\nIn a run that the judge `hash`, whose verdicts mean nothing, has judged as well:\n"
        )
    return (
        f"## {question.asks}\n\n```sql\n{question.query.rstrip()}\n```\n{note}\n"
        f"{answer(run, question.query)}"
    )


def answer(run: OpenRun, query: str) -> str:
    """A query's rows as a Markdown table; texts are cut."""
    batches = run.batches(query)
    names = batches.schema.names
    lines = [names, ["---"] * len(names)]
    for row in batches.read_all().to_pylist():
        lines.append([shown(row[name]) for name in names])
    if len(lines) == 2:
        return "No rows.\n"
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(value: object) -> str:
    """A value as a cell."""
    text = cell(plain(value)).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


if __name__ == "__main__":
    with qibox.open(sys.argv[1]) as opened, qibox.open(sys.argv[2]) as judged_twice:
        PAGE.write_text(page(opened, judged_twice), encoding="utf-8")
