import pickle

import pytest

from qibox.cli.flags import naming
from qibox.errors import QiboxError, UsageError

FLAGS = {"q_low": "--q-band", "q_high": "--q-band", "u_min": "--u-min"}


def test_an_error_gains_the_options_of_its_fields_each_once() -> None:
    message = r"^too narrow: widen it \(--q-band, --u-min\)$"
    with pytest.raises(UsageError, match=message), naming(FLAGS):
        raise UsageError("too narrow: widen it", fields=["q_low", "q_high", "u_min"])


def test_an_error_without_fields_or_with_unknown_ones_is_left_as_it_is() -> None:
    for fields in ([], ["colour"]):
        with pytest.raises(QiboxError, match=r"^no$"), naming(FLAGS):
            raise QiboxError("no", fields=fields)


def test_fields_survive_the_way_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(UsageError("no", fields=["u_min"])))
    assert (str(error), error.fields) == ("no", ("u_min",))
