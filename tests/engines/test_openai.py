import base64
import io
import socket

import pytest
from PIL import Image
from server import Endpoint, serving
from tinymodel import png, prompts

from qibox.engines.load import load_engine, resolve_model
from qibox.engines.noise import prompt_seed
from qibox.engines.openai import OpenAIEngine
from qibox.errors import QiboxError, UsageError
from qibox.manifests.panel import ModelSpec
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import OpenAISettings

# Waits are drawn below 50 ms, so that the tests are quick; the logic is the same.
QUICK = {"max_wait_s": 0.05, "request_timeout_s": 2, "deadline_s": 20}


@pytest.fixture(scope="module")
def endpoint():
    with serving() as endpoint:
        yield endpoint


def ask(endpoint: Endpoint, *texts: str, samples: int = 2, **options):
    settings = OpenAISettings(base_url=endpoint.url, **{**QUICK, **options})
    engine = OpenAIEngine("m", "served", settings)
    table = engine.generate(prompts(list(texts), [None] * len(texts)), Sampling(samples=samples))
    assert table["key"].to_pylist() == [f"p{i}" for i in range(len(texts)) for _ in range(samples)]
    assert table["k"].to_pylist() == list(range(samples)) * len(texts)
    return table, engine


def seeds(text: str, index: int, samples: int) -> list[str]:
    first = prompt_seed(0, "m", f"p{index}")
    return [f"{text}#{first + k}" for k in range(samples)]


def test_k_answers_come_from_one_request_with_its_seed(endpoint):
    table, engine = ask(endpoint, "one", samples=3)
    assert table["text"].to_pylist() == seeds("one", 0, 3)
    assert table["finish_reason"].to_pylist() == ["stop"] * 3
    assert endpoint.attempts["one"] == 1
    assert engine.usage == {
        "requests": 1, "retries": 0, "prompt_tokens": 7, "completion_tokens": 9,
    }  # fmt: skip
    # Tokens are told for the request only, so no completion claims a share of them.
    assert table["tokens"].null_count == 3
    assert ask(endpoint, "alone", samples=1)[0]["tokens"].to_pylist() == [3]


@pytest.mark.parametrize("options", [{"honours_n": False}, {"refuses_n": True}])
def test_where_the_server_has_no_n_there_are_k_calls_with_the_same_seeds(options):
    with serving(**options) as endpoint:
        table, _ = ask(endpoint, "a", "b", samples=3)
        assert table["text"].to_pylist() == seeds("a", 0, 3) + seeds("b", 1, 3)


def test_whether_the_server_has_n_is_learnt_once(endpoint):
    with serving(refuses_n=True) as refusing:
        settings = OpenAISettings(base_url=refusing.url, **QUICK, concurrency=1)
        engine = OpenAIEngine("m", "served", settings)
        sampling = Sampling(samples=2)
        assert engine.generate(prompts(["a"], [None]), sampling)["text"].null_count == 0
        assert refusing.attempts["a"] == 3  # once for both, then one by one
        assert engine.generate(prompts(["b"], [None]), sampling)["text"].null_count == 0
        assert refusing.attempts["b"] == 2
    # A prompt that is refused either way teaches nothing about n.
    engine = OpenAIEngine("m", "served", OpenAISettings(base_url=endpoint.url, **QUICK))
    assert engine.generate(prompts(["400"], [None]), sampling)["text"].null_count == 2
    engine.generate(prompts(["after"], [None]), sampling)
    assert endpoint.attempts["after"] == 1


@pytest.mark.parametrize(
    "fault", ["429", "500", "503", "cut", "closed", "garbage", "halfjson", "empty", "shape"]
)
def test_what_may_pass_is_tried_again(endpoint, fault):
    text = f"{fault} 2"
    table, engine = ask(endpoint, text, samples=2)
    assert table["text"].to_pylist() == seeds(text, 0, 2)
    assert endpoint.attempts[text] == 3
    assert engine.usage["retries"] == 2


def test_every_kind_of_trouble_at_once_loses_no_row_and_keeps_the_reasons(endpoint):
    faults = ["fine", "slow", "429", "500", "cut", "garbage", "never", "400", "filtered", "tool"]
    table, _ = ask(endpoint, *faults, samples=2, attempts=2, request_timeout_s=0.6, deadline_s=4)
    reasons = dict(zip(table["key"].to_pylist(), table["reason"].to_pylist(), strict=True))
    assert reasons == {
        "p0": None,
        "p1": None,
        "p2": "endpoint answered status 429: said 429, sk-secret",
        "p3": "endpoint answered status 500: said 500, sk-secret",
        "p4": "connection to the endpoint failed",
        "p5": "endpoint's reply is not JSON",
        "p6": "endpoint did not answer in time",
        "p7": "endpoint answered status 400: said 400, sk-secret",
        "p8": "endpoint's content filter withheld the completion",
        "p9": "endpoint gave no text (finish reason tool_calls)",
    }
    assert table["text"].null_count == 16


def test_a_deadline_ends_all_attempts_of_a_request(endpoint):
    table, engine = ask(endpoint, "never", samples=1, request_timeout_s=60, deadline_s=0.5)
    assert table["reason"].to_pylist() == ["endpoint did not answer in time"]
    assert engine.usage["requests"] == 1


def test_a_truncated_answer_says_so(endpoint):
    assert ask(endpoint, "long", samples=1)[0]["finish_reason"].to_pylist() == ["length"]


def test_a_thought_that_the_server_took_out_is_put_back(endpoint):
    (text,) = ask(endpoint, "thinks", samples=1)[0]["text"].to_pylist()
    assert text.startswith("<think> because </think> thinks#")


def test_requests_in_flight_are_bounded():
    with serving() as endpoint:
        ask(endpoint, *[f"slow {i + 100}" for i in range(12)], samples=1, concurrency=3)
        assert endpoint.most_busy == 3


def test_greedy_asks_once_and_gives_k_equal_answers(endpoint):
    engine = OpenAIEngine("m", "served", OpenAISettings(base_url=endpoint.url, **QUICK))
    table = engine.generate(prompts(["greedy"], [None]), Sampling(samples=4, temperature=0))
    assert table["text"].to_pylist() == seeds("greedy", 0, 1) * 4
    assert endpoint.attempts["greedy"] == 1
    assert "n" not in endpoint.bodies[-1]


def test_what_is_sent(endpoint):
    engine = OpenAIEngine("m", "served", OpenAISettings(base_url=endpoint.url, **QUICK))
    schema = {"type": "object"}
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, json_schema=schema)
    picture = png((1, 2, 3))
    engine.generate(prompts(["see <|im_end|>"], [picture], system="be kind"), sampling)
    body = endpoint.bodies[-1]
    image = "data:image/png;base64," + base64.b64encode(picture).decode()
    assert body == {
        "model": "served",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "be kind"}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": image}},
                    {"type": "text", "text": "see < |im_end|>"},
                ],
            },
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": prompt_seed(0, "m", "p0"),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "schema": schema, "strict": True},
        },
    }


def test_a_picture_that_servers_may_read_differently_is_sent_as_png(endpoint):
    sink = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90°
    Image.new("RGB", (8, 4), (9, 9, 9)).save(sink, "JPEG", exif=exif)
    engine = OpenAIEngine("m", "served", OpenAISettings(base_url=endpoint.url, **QUICK))
    engine.generate(prompts(["turned"], [sink.getvalue()]), Sampling())
    url = endpoint.bodies[-1]["messages"][0]["content"][0]["image_url"]["url"]
    head, data = url.split(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (4, 8)


def test_a_picture_that_cannot_be_read_costs_its_rows_and_no_request(endpoint):
    engine = OpenAIEngine("m", "served", OpenAISettings(base_url=endpoint.url, **QUICK))
    table = engine.generate(prompts(["broken", "whole"], [b"xx", None]), Sampling(samples=2))
    assert table["text"].null_count == 2
    assert endpoint.attempts["broken"] == 0


def test_a_refused_key_or_an_unknown_model_stops_the_work(endpoint):
    with pytest.raises(QiboxError, match="refuses the key"):
        ask(endpoint, "401", "fine")
    with pytest.raises(QiboxError, match="does not serve this model"):
        ask(endpoint, "404", "fine")


def test_a_server_that_no_longer_answers_stops_the_work_in_calls_of_any_size():
    with serving() as endpoint:
        settings = OpenAISettings(base_url=endpoint.url, **QUICK, attempts=1, give_up_after=3)
        engine = OpenAIEngine("m", "served", settings)
        engine.generate(prompts(["500", "500"], [None] * 2), Sampling(samples=1))
        with pytest.raises(QiboxError, match="left 3 requests in a row without an answer"):
            engine.generate(prompts(["500", "500"], [None] * 2), Sampling(samples=1))


def test_a_busy_server_is_waited_for_until_the_deadline(endpoint):
    table, engine = ask(endpoint, "429", samples=1, attempts=2, deadline_s=1)
    assert table["reason"].to_pylist() == ["endpoint answered status 429: said 429, sk-secret"]
    assert engine.usage["requests"] > 5


@pytest.mark.parametrize(
    ("fault", "text", "reason"),
    [
        ("nomessage", None, "endpoint's reply holds no completion"),
        ("nousage", "nousage#", None),
        ("wordusage", "wordusage#", None),
        ("surrogate", "half a pair ?", None),
        ("thinking", "<think> because", None),
    ],
)
def test_an_odd_reply_costs_its_own_row_at_most(endpoint, fault, text, reason):
    table, _ = ask(endpoint, fault, "fine", samples=1, attempts=1)
    (odd, good), reasons = table["text"].to_pylist(), table["reason"].to_pylist()
    assert good.startswith("fine#")
    assert reasons == [reason, None]
    assert odd is None if text is None else (odd.startswith(text) and "</think>" not in odd)


def test_an_endpoint_that_is_gone_stops_the_work():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = OpenAISettings(base_url=url, **QUICK, attempts=2, give_up_after=3)
    engine = OpenAIEngine("m", "served", settings)
    with pytest.raises(QiboxError, match="no server answers at http"):
        engine.generate(prompts(["a"] * 10, [None] * 10), Sampling())


@pytest.mark.parametrize("status", ["404", "400long"])
def test_a_key_that_the_server_repeats_is_masked(endpoint, monkeypatch, status):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    if status == "404":
        with pytest.raises(QiboxError) as caught:
            ask(endpoint, status, samples=1, api_key_env="SOME_KEY")
        said = str(caught.value)
    else:
        (said,) = ask(endpoint, status, samples=1, api_key_env="SOME_KEY")[0]["reason"].to_pylist()
    assert "***" in said
    assert "sk-" not in said


def test_the_key_comes_from_the_environment_and_is_never_shown(endpoint, monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="SOME_KEY holds no key"):
        ask(endpoint, "x", api_key_env="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    table, _ = ask(endpoint, "400", samples=1, api_key_env="SOME_KEY")
    assert table["reason"].to_pylist() == ["endpoint answered status 400: said 400, ***"]
    assert "Bearer sk-secret" in endpoint.keys


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host:99999/v1",
        "http://[::1",
    ],
)
def test_a_key_in_the_url_and_half_an_address_are_refused(url):
    spec = ModelSpec(source="x", engine="openai", settings={"base_url": url})
    with pytest.raises(UsageError, match="base_url"):
        resolve_model(spec)


def test_a_panel_model_can_be_behind_an_endpoint(endpoint):
    spec = ModelSpec(source="served", engine="openai", settings={"base_url": endpoint.url})
    engine = load_engine("m", resolve_model(spec))
    table = engine.generate(prompts(["panel"], [None]), Sampling(samples=2))
    assert table["text"].to_pylist() == seeds("panel", 0, 2)
    engine.close()
    drawn_as_m = spec.model_copy(update={"noise_id": "m"})
    again = load_engine("other", drawn_as_m).generate(prompts(["panel"], [None]), Sampling())
    assert again["text"].to_pylist() == seeds("panel", 0, 1)
