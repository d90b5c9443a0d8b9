"""What the SDK of KServe gets over HTTP and gRPC, as JSON; arguments: address of HTTP, of gRPC, and a key.

Runs in an environment of its own (requirements.lock here), as clients do.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

ROWS = np.array([[1, 2, np.nan], [0, -0.5, 3]], dtype=np.float32)
HTTP, GRPC, KEY = sys.argv[1:]


def request(binary: bool) -> Any:
    made = InferInput("features", list(ROWS.shape), "FP32")
    made.set_data_from_numpy(ROWS if binary else np.nan_to_num(ROWS), binary_data=binary)
    return InferRequest("fraud", [made])


def headers() -> dict[str, str]:
    """Anew for each call, as the client adds its own."""
    return {"x-api-key": KEY}


async def over_http() -> dict[str, Any]:
    client, url = InferenceRESTClient(RESTConfig(protocol="v2")), f"http://{HTTP}"
    about = [
        await client.is_server_live(url, headers=headers()),
        await client.is_server_ready(url, headers=headers()),
        await client.is_model_ready(url, "fraud", headers=headers()),
    ]
    answers = [await client.infer(url, request(binary), "fraud", headers()) for binary in (True, False)]
    return {"about": about, "scores": [answer.outputs[0].as_numpy().tolist() for answer in answers]}


async def over_grpc() -> dict[str, Any]:
    client, metadata = InferenceGRPCClient(GRPC), [*headers().items()]
    about = [
        await client.is_server_live(headers=metadata),
        await client.is_server_ready(headers=metadata),
        await client.is_model_ready("fraud", headers=metadata),
    ]
    answer = await client.infer(request(True), headers=metadata)
    return {"about": about, "scores": [answer.outputs[0].as_numpy().tolist()]}


async def both() -> None:
    print(json.dumps({"http": await over_http(), "grpc": await over_grpc()}))


asyncio.run(both())
