"""What tritonclient gets over HTTP and gRPC, as lines of JSON; arguments: address of HTTP, of gRPC, and a key.

Runs in an environment of its own (requirements.lock here), as clients do.
"""

import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

ROWS = np.array([[1, 2, np.nan], [0, -0.5, 3]], dtype=np.float32)
HTTP, GRPC, KEY = sys.argv[1:]


def headers() -> dict[str, str]:
    """Anew for each call, as the client adds its own."""
    return {"authorization": f"Bearer {KEY}"}


def given(module: ModuleType, rows: Any = ROWS, **how: Any) -> Any:
    made = module.InferInput("features", list(rows.shape), "FP32")
    made.set_data_from_numpy(rows, **how)
    return made


def asked(client: Any, module: ModuleType) -> dict[str, Any]:
    about = [
        client.is_server_live(headers=headers()),
        client.is_server_ready(headers=headers()),
        client.is_model_ready("fraud", "3", headers=headers()),
    ]
    metadata = client.get_model_metadata(
        "fraud", headers=headers(), **({"as_json": True} if module is over_grpc else {})
    )
    plain = client.infer("fraud", [given(module)], headers=headers())
    output = module.InferRequestedOutput("score")
    named = client.infer("fraud", [given(module)], outputs=[output], request_id="7", headers=headers())
    return {
        "about": about,
        "inputs": [each["name"] for each in metadata["inputs"]],
        "scores": [answer.as_numpy("score").tolist() for answer in (plain, named)],
        "refused": refused(client, module),
    }


def refused(client: Any, module: ModuleType) -> list[str]:
    found = []
    for name, own in (("nobody", headers()), ("fraud", {})):
        try:
            client.infer(name, [given(module)], headers=own)
        except InferenceServerException as error:
            found.append(f"{error.status()}: {error.message()}")
    return found


def in_other_ways(client: Any) -> list[Any]:
    """JSON both ways, and gzip both ways."""
    finite = np.nan_to_num(ROWS)
    output = over_http.InferRequestedOutput("score", binary_data=False)
    text = client.infer("fraud", [given(over_http, finite, binary_data=False)], outputs=[output], headers=headers())
    gzip = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
    packed = client.infer("fraud", [given(over_http, finite)], headers=headers(), **gzip)
    return [answer.as_numpy("score").tolist() for answer in (text, packed)]


http, grpc = over_http.InferenceServerClient(HTTP), over_grpc.InferenceServerClient(GRPC)
print(json.dumps({"http": asked(http, over_http), "grpc": asked(grpc, over_grpc), "other": in_other_ways(http)}))
