"""The page's cells, as marimo runs them: a tab is shown where the ones chosen computes it.

What is shown is made in :mod:`qibox.page.cells`. No cell of marimo's own SQL, tables or markdown
is here: what a table holds reaches the page through :mod:`qibox.page.html` alone.
"""

from typing import Any

import marimo

app = marimo.App(width="full", app_title="qibox explore")


@app.cell
def _() -> Any:
    import marimo as mo

    from qibox.page import cells, html
    from qibox.page.context import current
    from qibox.page.samples import ORDERS

    context = current()
    first = context.first_box()
    get_box, set_box = mo.state(first)
    get_drawn, set_drawn = mo.state(0)  # counts how often the box is to be drawn anew
    get_open, set_open = mo.state(None, allow_self_loops=True)
    visit = cells.Visit(first, set_box, set_drawn, set_open)

    return ORDERS, cells, context, get_box, get_drawn, get_open, visit, html, mo, set_open


@app.cell
def _(cells: Any, context: Any, html: Any, mo: Any) -> Any:
    tab = mo.ui.tabs({name: mo.Html("") for name in cells.TABS})
    name = html.text(context.run.storage.url)
    mo.vstack([mo.Html(html.page(f"<b>qibox explore</b> {name}")), tab])
    return (tab,)


@app.cell
def _(cells: Any, context: Any, get_drawn: Any, visit: Any, mo: Any, tab: Any) -> Any:
    get_drawn()
    mo.stop(tab.value != "Box")
    edges = visit.box
    plot = mo.ui.matplotlib(
        cells.box_axes(context), value={"x": (edges.q_low, edges.q_high), "y": (edges.u_min, 4.5)}
    )
    plot
    return (plot,)


@app.cell
def _(cells: Any, visit: Any, plot: Any) -> Any:
    chosen = plot.value
    if chosen and hasattr(chosen, "x_min"):
        # A box has no upper edge on U: one that was pulled down is drawn anew.
        visit.move(cells.boxed(chosen.x_min, chosen.x_max, chosen.y_min), chosen.y_max < 4.4)
    return ()


@app.cell
def _(cells: Any, get_box: Any, mo: Any, visit: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Box")
    typed = get_box()
    low = mo.ui.number(
        1,
        10,
        step=0.0001,
        value=typed.q_low,
        label="Q from",
        debounce=True,
        on_change=lambda x: visit.move(cells.boxed(x, typed.q_high, typed.u_min), True),
    )
    high = mo.ui.number(
        1,
        10,
        step=0.0001,
        value=typed.q_high,
        label="Q to",
        debounce=True,
        on_change=lambda x: visit.move(cells.boxed(typed.q_low, x, typed.u_min), True),
    )
    least = mo.ui.number(
        0,
        4.5,
        step=0.0001,
        value=typed.u_min,
        label="U from",
        debounce=True,
        on_change=lambda x: visit.move(cells.boxed(typed.q_low, typed.q_high, x), True),
    )
    mo.hstack([low, high, least], justify="start")
    return high, least, low


@app.cell
def _(cells: Any, context: Any, get_box: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Box")
    mo.Html(cells.live(context, get_box()))
    return ()


@app.cell
def _(ORDERS: Any, context: Any, mo: Any, set_open: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Samples")
    order = mo.ui.dropdown(list(ORDERS), value="most unstable", label="sorted by")
    risk = mo.ui.dropdown(["none", "explicit", "implicit", "unknown"], label="kind")
    words = mo.ui.text(label="question or id has", on_change=lambda _: set_open(None))
    page_number = mo.ui.number(1, 100000, step=1, value=1, label="page")
    mo.hstack([order, risk, words, page_number], justify="start")
    return order, page_number, risk, words


@app.cell
def _(
    cells: Any,
    context: Any,
    get_box: Any,
    get_open: Any,
    html: Any,
    mo: Any,
    order: Any,
    page_number: Any,
    risk: Any,
    set_open: Any,
    words: Any,
) -> Any:
    box, place = get_box(), get_open()
    query = (box, order.value, risk.value, words.value)
    matching = context.samples.matching(box, risk.value, words.value)
    if place is None:
        start = cells.start_of(page_number.value, matching)
        found = context.samples.read(context.samples.ids(*query, cells.PER_PAGE, start))
        buttons = mo.ui.array(
            [
                mo.ui.button(label="Open", on_click=lambda _, at=start + n: set_open(at))
                for n in range(len(found))
            ]
        )
        cards = "".join(html.card(one, f"{buttons[n]}") for n, one in enumerate(found))
        shown = mo.Html(
            html.page(
                f"<p>{matching:,} samples in the box</p>",
                f"<div style='display:flex;flex-wrap:wrap;gap:10px'>{cards}</div>",
            )
        )
    else:
        (sample,) = context.samples.read(context.samples.ids(*query, 1, place)) or (None,)
        last = max(0, matching - 1)
        buttons = mo.ui.array(
            [
                mo.ui.button(
                    label="← previous",
                    keyboard_shortcut="ArrowLeft",
                    on_click=lambda _: set_open(max(0, place - 1)),
                ),
                mo.ui.button(
                    label="next →",
                    keyboard_shortcut="ArrowRight",
                    on_click=lambda _: set_open(min(last, place + 1)),
                ),
                mo.ui.button(
                    label="all", keyboard_shortcut="Escape", on_click=lambda _: set_open(None)
                ),
            ]
        )
        content = html.opened(sample) if sample else "<p>no such sample any more</p>"
        shown = mo.vstack(
            [
                mo.hstack([*buttons, mo.Html(f"{place + 1:,} of {matching:,}")], justify="start"),
                mo.Html(html.page(content)),
            ]
        )
    shown
    return (buttons,)


@app.cell
def _(cells: Any, context: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Models")
    mo.Html(cells.picture(context, "models"))
    return ()


@app.cell
def _(cells: Any, context: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "Training")
    from qibox.run.finished import policy_names

    names = policy_names(context.run.storage)
    policies = mo.ui.multiselect(names, value=names[:4], label="policies")
    step = mo.ui.number(0, 1000000, step=1, value=0, label="rollouts of step (0: any)")
    said = mo.ui.text(label="that contain")
    mo.hstack([policies, step, said], justify="start")
    return policies, said, step


@app.cell
def _(cells: Any, context: Any, mo: Any, policies: Any, said: Any, step: Any) -> Any:
    mo.vstack(
        [
            mo.Html(cells.picture(context, "training", policies.value)),
            mo.Html(cells.picture(context, "evaluation", policies.value)),
            mo.Html("<h3>Rollouts</h3>" + cells.rollouts(context, step.value or None, said.value)),
            mo.Html("<h3>What training changed</h3>" + cells.changed(context)),
        ]
    )
    return ()


@app.cell
def _(cells: Any, mo: Any, tab: Any) -> Any:
    mo.stop(tab.value != "SQL")
    picked = mo.ui.dropdown(list(cells.QUERIES), value=next(iter(cells.QUERIES)), label="queries")
    picked
    return (picked,)


@app.cell
def _(cells: Any, mo: Any, picked: Any) -> Any:
    query_text = mo.ui.text_area(value=cells.QUERIES[picked.value], rows=5, full_width=True)
    query_text
    return (query_text,)


@app.cell
def _(cells: Any, context: Any, mo: Any, query_text: Any) -> Any:
    mo.Html(cells.asked(context, query_text.value))
    return ()


if __name__ == "__main__":
    app.run()
