# ruff: noqa: B018  a cell is a function, and shows its last expression
"""A walk through the miniature run: ``make demo``, then ``marimo edit docs/notebook.py``."""

import marimo

app = marimo.App(app_title="A run of qibox")


@app.cell
def _():
    import marimo as mo

    import qibox

    run = qibox.open("runs/mini")
    run
    return mo, run


@app.cell
def _(mo):
    mo.md(
        """
        Every sample was answered by seven models, five times each, and every answer was judged.
        Quality is the mean score, instability how far the scores spread.
        """
    )


@app.cell
def _(run):
    run.scores.df().describe()


@app.cell
def _(run):
    run.plot.box()


@app.cell
def _(mo):
    mo.md("Who is unsafe where? The columns are kinds of risk.")


@app.cell
def _(run):
    unsafe = run.sql(
        """select model, risk, avg((not safe)::int) as unsafe
           from judgments join pool using (sample_id) group by all"""
    ).df()
    by_risk = unsafe.pivot(index="model", columns="risk", values="unsafe")
    by_risk
    return (by_risk,)


@app.cell
def _(mo):
    mo.md("The sample that the models waver on most, with all that was said of it:")


@app.cell
def _(run):
    most = run.sql(
        """select sample_id from scores where instability is not null
           order by instability desc, sample_id limit 1"""
    ).fetchall()[0][0]
    sample = run.sample(most)
    sample
    return (sample,)


@app.cell
def _(mo):
    mo.md("A box, tried on the run; nothing is written unless asked for.")


@app.cell
def _(mo):
    low = mo.ui.slider(1, 10, 0.5, value=4, label="Q from")
    high = mo.ui.slider(1, 10, 0.5, value=9, label="Q to")
    least = mo.ui.slider(0, 4.5, 0.25, value=1, label="U from")
    mo.hstack([low, high, least])
    return high, least, low


@app.cell
def _(high, least, low, run):
    chosen = run.select(q_band=(low.value, high.value), u_min=least.value)
    chosen.mix
    return (chosen,)


@app.cell
def _(mo, run):
    measured = run.rates.where("stage = 'trained' and \"by\" = 'risk'").df()
    shown = run.plot.evaluation() if len(measured) else mo.md("No policy was evaluated yet.")
    shown
    return (measured,)


if __name__ == "__main__":
    app.run()
