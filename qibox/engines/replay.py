"""The replay engine: plays responses that were recorded, here or elsewhere.

**Import format.** One Parquet file, or a directory of them at any depth (a run's ``responses/``
is one). Columns: ``sample_id`` (string) and ``text`` (string) are required; ``k`` (integer, the
response's number from 0; without it every response is number 0), ``model`` (string, or a folder
``model=<id>``; without it the recording is one model's), ``finish_reason``, ``tokens``,
``reasoning`` (put before a text that does not show it, as a think block) and ``reason`` (why text
is null) are read where they are. A (model, sample_id, k) stands once. What is asked for and not
there comes back as a row whose reason is ``not recorded``.

A recording of any size is played in bounded memory: a call reads the pieces (row groups of files)
that hold its samples and joins them columnar. Which ones do is told by the bounds of their ids in
the files' footers; where these leave several to choose from, by an index of 8 bytes a sample. It is
fastest where a piece holds the samples of one pool shard, as a run's own files do.
"""

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.engines.recording import TYPES, Pieces, find_pieces, load_piece, of_model
from qibox.errors import UsageError
from qibox.hashing import row_hashes
from qibox.manifests.sampling import Sampling
from qibox.tables import COMPLETIONS

NOT_RECORDED = "not recorded"
NO_TEXT = "recorded without a text"
KEPT_PIECES = 2  # in memory; calls in the pool's order meet the same piece again


class ReplayEngine:
    """Plays one model's recorded responses."""

    def __init__(self, model: str, source: str) -> None:
        """Open a recording; ``model`` selects among several where it holds several.

        Raises:
            UsageError: nothing there, not Parquet, or not in the import format.
        """
        self._model = model
        self._source = source
        self._lock = threading.Lock()
        self._pieces = find_pieces(source, model)
        self._index: _Index | None = None
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._turns: dict[int, threading.Lock] = {}

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Play K responses for each prompt; its key is the sample_id they are recorded under."""
        keys = prompts["key"].combine_chunks()
        recorded = [self._read(piece) for piece in self._pieces_of(keys)]
        return self._aligned(keys, recorded, sampling.samples)

    def close(self) -> None:
        """Forget what was read."""
        self._kept.clear()
        self._index = None

    def _pieces_of(self, keys: pa.Array) -> list[int]:
        """Numbers of the pieces that may hold any of the keys, in order."""
        if self._index is None:
            within = self._pieces.within(keys)
            if len(within) <= KEPT_PIECES and any(len(self._read(piece)) for piece in within):
                return within
            with self._lock:
                self._index = self._index or _Index(self._pieces, self._model, self._source)
        return self._index.pieces_of(keys)

    def _read(self, number: int) -> pa.Table:
        """The model's rows of a piece; of threads that want the same one the first reads it."""
        with self._lock:
            turn = self._turns.setdefault(number, threading.Lock())
        with turn:
            table = self._kept.get(number)
            if table is None:
                table = load_piece(self._pieces[number], self._source, list(TYPES))
                table = of_model(table, self._model)
            with self._lock:
                self._kept[number] = table
                self._kept.move_to_end(number)
                while len(self._kept) > KEPT_PIECES:
                    self._kept.popitem(last=False)
        return table

    def _aligned(self, keys: pa.Array, recorded: list[pa.Table], samples: int) -> pa.Table:
        """Hash join of the wanted (key, k) with the recorded rows, in the order wanted."""
        wanted = len(keys) * samples
        take = np.full(wanted, -1, dtype=np.int64)
        rows = pa.concat_tables(recorded) if recorded else _EMPTY
        position = pc.index_in(rows["sample_id"], value_set=keys).to_numpy(zero_copy_only=False)
        k = rows["k"].to_numpy()
        played = ~np.isnan(position) & (k >= 0) & (k < samples)
        slots = position[played].astype(np.int64) * samples + k[played]
        if len(np.unique(slots)) < len(slots):
            twice = rows.filter(pa.array(played))["sample_id"][int(_repeated(slots))]
            raise UsageError(
                f"recorded responses at {self._source} hold (sample_id, k) twice for sample_id "
                f"'{twice}': keep one of each"
            )
        take[slots] = np.flatnonzero(played)
        return _completions(keys, rows, pa.array(take, mask=take < 0), samples)


def _completions(keys: pa.Array, rows: pa.Table, take: pa.Array, samples: int) -> pa.Table:
    found = rows.take(take)
    text, thought = found["text"], found["reasoning"]
    hidden = pc.and_kleene(pc.is_valid(thought), pc.invert(pc.starts_with(text, "<think>")))
    joined = pc.binary_join_element_wise("<think>", thought, "</think>", text, " ")
    text = pc.if_else(pc.fill_null(hidden, False), joined, text)
    missing = pc.if_else(pc.is_valid(take), NO_TEXT, NOT_RECORDED)
    reason = pc.coalesce(found["reason"], missing)
    shown = pc.is_valid(text)
    columns = {
        "key": keys.take(pa.array(np.repeat(np.arange(len(keys)), samples))),
        "k": pa.array(np.tile(np.arange(samples, dtype=np.int32), len(keys))),
        "text": text,
        "finish_reason": found["finish_reason"],
        "tokens": found["tokens"],
        "reason": pc.if_else(shown, pa.scalar(None, pa.string()), reason),
    }
    return pa.table(columns, schema=COMPLETIONS)


def _repeated(slots: npt.NDArray[np.int64]) -> int:
    """Where a value comes the second time."""
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    return int(order[np.flatnonzero(ordered[1:] == ordered[:-1])[0] + 1])


_EMPTY = pa.schema(list(TYPES.items())).empty_table()


class _Index:
    """Which pieces hold a sample, in 8 bytes: the head of its hash, then the number of the piece.

    Sorted in place. Two ids whose hashes begin alike cost the reading of one piece more.
    """

    def __init__(self, pieces: Pieces, model: str, source: str) -> None:
        """Read the pieces' ids, one piece at a time."""
        self._tail = np.uint64((1 << len(pieces).bit_length()) - 1)  # bits of a piece's number
        entries = []
        for number in range(len(pieces)):
            piece = pieces[number]
            ids = of_model(load_piece(piece, source, ["sample_id", "model"]), model)["sample_id"]
            entries.append(self._heads(pc.unique(ids)) | np.uint64(number))
        self._entries = np.concatenate(entries) if entries else np.empty(0, np.uint64)
        if not len(self._entries):
            raise UsageError(
                f"recorded responses at {source} hold none of model '{model}': "
                "name the recorded model in settings.model"
            )
        self._entries.sort()

    def pieces_of(self, keys: pa.Array) -> list[int]:
        """Numbers of the pieces that hold any of the keys, in order."""
        wanted = self._heads(keys)
        first = np.searchsorted(self._entries, wanted, side="left")
        last = np.searchsorted(self._entries, wanted | self._tail, side="right")
        counts = last - first
        # Every position from first to last, for all keys at once.
        starts = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        found = self._entries[starts + np.arange(counts.sum())] & self._tail
        return [int(number) for number in np.unique(found)]

    def _heads(self, ids: pa.Array) -> npt.NDArray[np.uint64]:
        """The heads of the ids' hashes, each once, in order."""
        return np.unique(row_hashes(pa.table([ids], ["id"])) & ~self._tail)
