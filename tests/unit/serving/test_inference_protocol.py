"""The inference protocol's messages: what is asked is answered, whatever form it comes in; all else is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.exported_models import export, features, made

from jobs import settings
from jobs.models.runtime import CATEGORIES, INPUT, feeds, score
from jobs.use_cases.fraud import FRAUD
from serving.inference_protocol import grpc_messages, grpc_service, http_messages
from serving.inference_protocol.inference import infer
from serving.inference_protocol.tensor_bytes import decode, encode
from serving.live_models.live_model import LiveModel
from serving.live_models.watch import LiveModels
from serving.web.refusal import Refusal

ROWS = 5


@pytest.fixture(scope="module", params=[False, True], ids=["numbers", "categories"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LiveModel:
    folder = tmp_path_factory.mktemp("served")
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    export(home, 3, made(folder / "bundle", categories=request.param), request.param)
    models = LiveModels(home, [FRAUD])
    models.require()
    found = models.get("fraud")
    assert found is not None
    return found


def asked(model: LiveModel) -> dict[str, np.ndarray[Any, Any]]:
    """Some rows as the graph takes them."""
    return dict(feeds(features(CATEGORIES in model.inputs, ROWS, seed=9)))


def expected(model: LiveModel) -> np.ndarray[Any, Any]:
    return score(model.session, features(CATEGORIES in model.inputs, ROWS, seed=9))


def listed(values: np.ndarray[Any, Any]) -> list[Any]:
    """Values as JSON has them: null for what is missing."""
    return [[None if value != value or value == "" else value for value in row] for row in values.tolist()]


def as_json(model: LiveModel, **more: Any) -> dict[str, Any]:
    datatypes = {INPUT: "FP32", CATEGORIES: "BYTES"}
    inputs = [
        {"name": name, "datatype": datatypes[name], "shape": list(values.shape), "data": listed(values)}
        for name, values in asked(model).items()
    ]
    return {"inputs": inputs, **more}


def answered(model: LiveModel, body: bytes, json_length: str | None = None) -> Any:
    request = http_messages.read(body, json_length, model)
    return http_messages.answer(model, request, infer(model, request.tensors))


def packed(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    texts = [text.encode() for text in values.ravel().tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def test_json_is_answered_as_the_model_scores(model: LiveModel) -> None:
    answer = json.loads(answered(model, json.dumps(as_json(model, id="7")).encode()).body)
    [output] = answer["outputs"]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("fraud", "3", "7")
    assert (output["name"], output["datatype"], output["shape"]) == ("score", "FP32", [ROWS])
    np.testing.assert_array_equal(np.float32(output["data"]), expected(model))


def test_flat_lists_are_the_same_as_nested_ones(model: LiveModel) -> None:
    flat = as_json(model)
    for given_ in flat["inputs"]:
        given_["data"] = [value for row in given_["data"] for value in row]
    nested = answered(model, json.dumps(as_json(model)).encode())
    assert answered(model, json.dumps(flat).encode()).body == nested.body


def test_bytes_are_the_same_as_json(model: LiveModel) -> None:
    request, content = as_json(model, parameters={"binary_data_output": True}), b""
    for given_, values in zip(request["inputs"], asked(model).values(), strict=True):
        del given_["data"]
        given_["parameters"] = {"binary_data_size": len(packed(values))}
        content += packed(values)
    text = json.dumps(request).encode()
    answer = answered(model, text + content, str(len(text)))
    length = int(dict(answer.headers)[b"inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 4 * ROWS}
    np.testing.assert_array_equal(np.frombuffer(answer.body[length:], "<f4"), expected(model))


@pytest.mark.parametrize("raw", [True, False])
def test_grpc_answers_the_same(model: LiveModel, raw: bool) -> None:
    datatypes = {INPUT: "FP32", CATEGORIES: "BYTES"}
    request = grpc_messages.message("ModelInferRequest")(model_name="fraud", id="7")
    for name, values in asked(model).items():
        tensor = request.inputs.add(name=name, datatype=datatypes[name], shape=list(values.shape))
        if raw:
            request.raw_input_contents.append(packed(values))
        elif name == INPUT:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
        else:
            tensor.contents.bytes_contents.extend(text.encode() for text in values.ravel().tolist())
    request = grpc_messages.message("ModelInferRequest").FromString(request.SerializeToString())
    answer = grpc_service.infer_message(model, request)
    assert (answer.model_name, answer.model_version, answer.id) == ("fraud", "3", "7")
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4"), expected(model))


NUMBERS = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
HOSTILE = {
    "no JSON": b"{",
    "no object": b"[]",
    "no inputs": b"{}",
    "not a list of inputs": b'{"inputs": 3}',
    "NaN is no JSON": b'{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [NaN, 1, 2]}]}',
    "deep": b'{"inputs":' + b"[" * 100_000,
    "no input": json.dumps({"inputs": []}).encode(),
    "another input": json.dumps({"inputs": [NUMBERS | {"name": "x"}]}).encode(),
    "twice": json.dumps({"inputs": [NUMBERS, NUMBERS]}).encode(),
    "another type": json.dumps({"inputs": [NUMBERS | {"datatype": "FP64"}]}).encode(),
    "fewer columns": json.dumps({"inputs": [NUMBERS | {"shape": [1, 2], "data": [1, 2]}]}).encode(),
    "one dimension": json.dumps({"inputs": [NUMBERS | {"shape": [3]}]}).encode(),
    "negative": json.dumps({"inputs": [NUMBERS | {"shape": [-1, 3]}]}).encode(),
    "no rows": json.dumps({"inputs": [NUMBERS | {"shape": [0, 3], "data": []}]}).encode(),
    "many rows": json.dumps({"inputs": [NUMBERS | {"shape": [2**40, 3]}]}).encode(),
    "true for a row": json.dumps({"inputs": [NUMBERS | {"shape": [True, 3]}]}).encode(),
    "fewer values": json.dumps({"inputs": [NUMBERS | {"data": [1, 2]}]}).encode(),
    "texts for numbers": json.dumps({"inputs": [NUMBERS | {"data": ["1", "2", "3"]}]}).encode(),
    "booleans for numbers": json.dumps({"inputs": [NUMBERS | {"data": [True, 2, 3]}]}).encode(),
    "lists of lists of lists": json.dumps({"inputs": [NUMBERS | {"data": [[[1], [2], [3]]]}]}).encode(),
    "infinite": json.dumps({"inputs": [NUMBERS | {"data": [1e300, 2, 3]}]}).encode(),
    "beyond a float": b'{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1'
    + b"0" * 400
    + b", 1, 2]}]}",
    "no data": json.dumps({"inputs": [{k: v for k, v in NUMBERS.items() if k != "data"}]}).encode(),
    "more bytes than there are": json.dumps({"inputs": [NUMBERS | {"parameters": {"binary_data_size": 12}}]}).encode(),
    "negative bytes": json.dumps({"inputs": [NUMBERS | {"parameters": {"binary_data_size": -4}}]}).encode(),
    "text for bytes": json.dumps({"inputs": [NUMBERS | {"parameters": {"binary_data_size": "12"}}]}).encode(),
    "another output": json.dumps({"inputs": [NUMBERS], "outputs": [{"name": "x"}]}).encode(),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_as_the_protocol_says_is_refused(model: LiveModel, body: bytes) -> None:
    with pytest.raises(Refusal, match="expected"):
        answered(model, body)


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 5_000, "999999", "²"])
def test_a_length_that_cannot_be_is_refused(model: LiveModel, length: str) -> None:
    with pytest.raises(Refusal, match="expected a length"):
        answered(model, json.dumps(as_json(model)).encode(), length)


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 250).map(str)))
def test_any_bytes_are_answered_or_refused(model: LiveModel, body: bytes, length: str | None) -> None:
    with pytest.raises(Refusal):
        answered(model, body, length)


@given(st.lists(st.text(max_size=9), min_size=1, max_size=9))
def test_texts_come_back_from_bytes(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    content = b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
    found = decode("BYTES", (len(texts), 1), content, "x")
    assert [text.encode() for text in found.ravel().tolist()] == encoded
    with pytest.raises(Refusal):
        decode("BYTES", (len(texts), 1), content[:-1] if encoded[-1] else content + b"\0", "x")


def test_numbers_come_back_from_bytes() -> None:
    values = np.array([[1.5, np.nan, -0.0], [3e38, 1e-45, 2]], dtype=np.float32)
    np.testing.assert_array_equal(decode("FP32", (2, 3), encode(values), "x"), values)
    with pytest.raises(Refusal, match="expected 24 bytes"):
        decode("FP32", (2, 3), encode(values)[:-1], "x")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Refusal, match="UTF-8"):
        decode("BYTES", (1, 1), b"\x01\0\0\0\xff", "x")
