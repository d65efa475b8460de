"""Model cards of a run's policies, with what they were last evaluated to."""

from collections.abc import Iterable

from qibox.catalog.connect import reading
from qibox.policies.card import CARD, policy_card, start_license
from qibox.policies.directory import read_lineage
from qibox.run.directory import Run
from qibox.run.kept_files import read_json_lines
from qibox.run.layout import policy_path


def refresh_cards(run: Run, policies: Iterable[str]) -> None:
    """Write the cards of those of the policies that the run trained anew, with all their rates.

    A card keeps its licence; a policy of before there were cards stays without.
    """
    for name in policies:
        lineage, card = read_lineage(run.storage, name), policy_path(name, CARD)
        if lineage is None or not run.storage.exists(card):
            continue
        license = start_license(run.storage.read_text(card))
        metrics = read_json_lines(run.storage, policy_path(name, "metrics.jsonl"))
        with reading(run, ("rates",)) as connection:
            rates = connection.sql(
                "select * from rates where policy = ? and stage = 'trained' order by all",
                params=[name],
            ).to_arrow_table()
        run.storage.write_text(card, policy_card(lineage, metrics, rates.to_pylist(), license))
