"""The page's cells, as marimo runs them: a tab is shown where the ones chosen computes it.

What is shown is made in this folder's other modules. No cell of marimo's own SQL, tables or
markdown is here: what a table holds reaches the page through :mod:`qibox.page.html` alone.
"""

from typing import Any

import marimo

app = marimo.App(width="full", app_title="qibox explore")


@app.cell
def _() -> Any:
    import marimo as mo

    from qibox.page import asking, boxes, cells, html, panel, training
    from qibox.page.context import current
    from qibox.page.samples import ORDERS, Filter

    context = current()
    first = context.first_box()
    get_box, set_box = mo.state(first, allow_self_loops=True)
    get_drawn, set_drawn = mo.state(0)  # counts how often the box is to be drawn anew
    get_shown, set_shown = mo.state(cells.GALLERY, allow_self_loops=True)
    visit = boxes.Visit(first, set_box, set_drawn, set_shown)

    return (
        Filter,
        ORDERS,
        asking,
        boxes,
        cells,
        context,
        get_box,
        get_drawn,
        get_shown,
        html,
        mo,
        panel,
        set_shown,
        training,
        visit,
    )


@app.cell
def _(cells: Any, context: Any, html: Any, mo: Any) -> Any:
    tab = mo.ui.tabs({name: mo.Html("") for name in cells.TABS})
    name = html.text(context.name)
    mo.vstack([mo.Html(html.LAYOUT + html.page(f"<b>qibox explore</b> {name}")), tab])
    return (tab,)


@app.cell
def _(boxes: Any, context: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Box")
    colour = mo.ui.dropdown(
        [boxes.BY_NUMBER, *context.samples.colourings()], value=boxes.BY_NUMBER, label="colour by"
    )
    _hint = "<span class='qb left'>drag the box by its edges, or type them</span>"
    mo.hstack([colour, mo.Html(_hint)], justify="start")
    return (colour,)


@app.cell
def _(boxes: Any, colour: Any, context: Any, get_drawn: Any, mo: Any, visit: Any) -> Any:
    get_drawn()
    edges = visit.box
    plot = mo.ui.matplotlib(
        boxes.axes(context, colour.value or boxes.BY_NUMBER),
        value={"x": (edges.q_low, edges.q_high), "y": (edges.u_min, 4.5)},
    )
    plot
    return (plot,)


@app.cell
def _(plot: Any, visit: Any) -> Any:
    chosen = plot.value
    if chosen and hasattr(chosen, "x_min"):
        visit.dragged(chosen.x_min, chosen.x_max, chosen.y_min, chosen.y_max)
    return ()


@app.cell
def _(boxes: Any, context: Any, get_box: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Box")
    mo.Html(boxes.live(context, get_box()))
    return ()


@app.cell
def _(get_box: Any, html: Any, mo: Any, tab: Any, visit: Any) -> Any:
    mo.stop(tab.value != "Box")
    _box = get_box()
    fields = mo.ui.array(
        [
            mo.ui.number(
                *(0 if edge == "u_min" else 1, 4.5 if edge == "u_min" else 10),
                step=0.000001,
                value=getattr(_box, edge),
                label=label,
                debounce=True,
                on_change=lambda value, edge=edge: visit.typed(edge, value),
            )
            for edge, label in (
                ("q_low", "Q\u00a0≥"),
                ("q_high", "Q\u00a0≤"),
                ("u_min", "U\u00a0≥"),
            )
        ]
    )
    mo.Html(html.page(html.anew("".join(f"{each}" for each in fields), visit.emptied), kind="left"))
    return (fields,)


@app.cell
def _(boxes: Any, context: Any, get_box: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Box")
    mo.Html(boxes.histograms(context, get_box()))
    return ()


@app.cell
def _(ORDERS: Any, context: Any, mo: Any, tab: Any, visit: Any) -> Any:
    mo.stop(tab.value != "Samples")
    order = mo.ui.dropdown(
        list(ORDERS), value="most unstable", label="sorted by", on_change=visit.close
    )
    kinds = ["none", "explicit", "implicit", "unknown"]
    risk = mo.ui.dropdown(kinds, label="kind", on_change=visit.close)
    category = mo.ui.dropdown(context.samples.categories(), label="category", on_change=visit.close)
    words = mo.ui.text(label="question or id has", on_change=visit.close)
    mo.hstack([order, risk, category, words], justify="start", wrap=True)
    return category, order, risk, words


@app.cell
def _(
    Filter: Any,
    category: Any,
    cells: Any,
    context: Any,
    get_box: Any,
    get_shown: Any,
    html: Any,
    mo: Any,
    order: Any,
    risk: Any,
    set_shown: Any,
    words: Any,
) -> Any:
    _box, _chosen = get_box(), Filter(risk.value, category.value, words.value)
    matching = context.samples.matching(_box, _chosen)
    place = get_shown()
    limit, offset = place.rows(matching)
    ids = context.samples.ids(_box, order.value, _chosen, limit, offset)
    found = context.samples.read(ids, answers=place.is_one)
    steps = mo.ui.array(
        [
            mo.ui.button(
                label=label, keyboard_shortcut=key, on_click=lambda _, to=to: set_shown(to)
            )
            for label, key, to in place.steps(matching)
        ]
    )
    opens = mo.ui.array(
        [
            mo.ui.button(label="Open", on_click=lambda _, at=offset + n: set_shown(cells.one(at)))
            for n in range(0 if place.is_one else len(found))
        ]
    )
    if not place.is_one:
        verdicts = context.samples.verdicts(ids)
        content = html.gallery(found, verdicts, [f"{button}" for button in opens])
    else:
        content = html.opened(found[0]) if found else "<p>no such sample any more</p>"
    where = cells.where(offset, len(found), matching)
    bar = html.bar([f"{step}" for step in steps], where, offset // limit)
    mo.Html(html.page(bar, content))
    return opens, steps


@app.cell
def _(context: Any, html: Any, mo: Any, panel: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Models")
    mo.Html(panel.models(context) or html.page("<p>No model has answered yet.</p>"))
    return ()


@app.cell
def _(context: Any, mo: Any, tab: Any, training: Any) -> Any:
    mo.stop(tab.value != "Training")
    names = training.policies(context)
    policies = mo.ui.multiselect(names, value=names[:4], label="policies")
    step = mo.ui.number(0, 1000000, step=1, value=0, label="rollouts of step (0: any)")
    said = mo.ui.text(label="that contain")
    change = mo.ui.dropdown(list(training.CHANGES), label="changed")
    policies
    return change, policies, said, step


@app.cell
def _(cells: Any, context: Any, html: Any, mo: Any, policies: Any, training: Any) -> Any:
    mo.vstack(
        [
            mo.Html(training.curves(context, policies.value)),
            mo.Html(html.heading("Alarms")),
            mo.Html(training.alarms(context, policies.value)),
            mo.Html(html.heading("Evaluations")),
            mo.Html(cells.picture(context, "evaluation", policies.value)),
            mo.Html(training.rates(context, policies.value)),
        ]
    )
    return ()


@app.cell
def _(context: Any, html: Any, mo: Any, policies: Any, said: Any, step: Any, training: Any) -> Any:
    mo.vstack(
        [
            mo.Html(html.heading("Rollouts")),
            mo.hstack([step, said], justify="start"),
            mo.Html(training.rollouts(context, policies.value, step.value or None, said.value)),
        ]
    )
    return ()


@app.cell
def _(change: Any, context: Any, html: Any, mo: Any, policies: Any, training: Any) -> Any:
    mo.vstack(
        [
            mo.Html(html.heading("What training changed")),
            change,
            mo.Html(training.changed(context, policies.value, change.value)),
        ]
    )
    return ()


@app.cell
def _(asking: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "SQL")
    picked = mo.ui.dropdown(
        list(asking.QUERIES), value=next(iter(asking.QUERIES)), label="questions"
    )
    picked
    return (picked,)


@app.cell
def _(asking: Any, mo: Any, picked: Any) -> Any:
    written = asking.QUERIES.get(picked.value, "")
    query_text = mo.ui.text_area(value=written, rows=6, full_width=True)
    again = mo.ui.button(label="Run")
    mo.vstack([query_text, again])
    return again, query_text


@app.cell
def _(again: Any, asking: Any, context: Any, mo: Any, query_text: Any) -> Any:
    again.value
    mo.Html(asking.asked(context, query_text.value))
    return ()


if __name__ == "__main__":
    app.run()
