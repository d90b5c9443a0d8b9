"""The same graph behind other servers, each in the environment that it needs, as they are told to be quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worlds.locked_environments import locked_environment

from deciding.load import request
from deciding.servers import Server
from jobs.loopback import free_port
from jobs.models.runtime import INPUT
from jobs.settings import ROOT

HERE = Path(__file__).parent
VALUES = [round(0.37 * n % 5, 2) for n in range(100)]
"""Of the features of every request to a model."""


@dataclass(frozen=True)
class Graph:
    """The graph that all of them serve."""

    file: Path
    width: int
    folder: Path
    """Where servers may write."""

    @property
    def row(self) -> list[float]:
        return VALUES[: self.width]

    @property
    def infer(self) -> bytes:
        """A request of the Open Inference Protocol."""
        tensor = {"name": INPUT, "datatype": "FP32", "shape": [1, self.width], "data": self.row}
        return json.dumps({"inputs": [tensor]}).encode()

    @property
    def variables(self) -> dict[str, str]:
        return {"MODEL": str(self.file), "WIDTH": str(self.width)}


@dataclass(frozen=True)
class Rival:
    """A server that is ready, and one request."""

    server: Server
    request: bytes


@contextmanager
def echo(graph: Graph) -> Iterator[Rival]:
    """FastAPI, pydantic and ONNX Runtime in this environment."""
    port = free_port()
    variables = graph.variables | {"PORT": str(port), "PYTHONPATH": str(ROOT)}
    body = json.dumps({"transaction_id": 20260630_0000001, "features": graph.row}).encode()
    with Server([sys.executable, HERE / "echo.py"], port, graph.folder, variables=variables) as server:
        yield Rival(server, request(port, "/decisions", body))


@contextmanager
def mlserver(graph: Graph) -> Iterator[Rival]:
    """MLServer without a pool of processes, in which requests would cross another border."""
    folder, port = graph.folder / "mlserver", free_port()
    folder.mkdir(parents=True)
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    options = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(ports | options))
    model = {"name": "fraud", "implementation": "mlserver_model.Graph"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = locked_environment("rival-mlserver", HERE / "mlserver.lock") / "mlserver"
    with Server([program, "start", "."], port, folder, "/v2/models/fraud/ready", _of(graph, program)) as server:
        yield Rival(server, request(port, "/v2/models/fraud/infer", graph.infer))


@contextmanager
def bentoml(graph: Graph) -> Iterator[Rival]:
    """BentoML with one worker."""
    port, program = free_port(), locked_environment("rival-bentoml", HERE / "bentoml.lock") / "bentoml"
    command: list[str | Path] = [program, "serve", "bentoml_service:Graph", "--port", str(port), "--host", "127.0.0.1"]
    command += ["--working-dir", HERE]
    variables = _of(graph, program) | {"BENTOML_HOME": str(graph.folder / "bentos"), "BENTOML_DO_NOT_TRACK": "True"}
    body = json.dumps({"features": [graph.row]}).encode()
    with Server(command, port, graph.folder, "/readyz", variables) as server:
        yield Rival(server, request(port, "/score", body))


@contextmanager
def mlflow(graph: Graph) -> Iterator[Rival]:
    """`mlflow models serve` with one worker, in this environment, which has it."""
    folder, port, program = graph.folder / "mlflow-model", free_port(), Path(sys.executable).parent / "mlflow"
    save: list[str | Path] = [sys.executable, HERE / "mlflow_model.py", graph.file, folder, str(graph.width)]
    subprocess.run(save, check=True, capture_output=True)
    command: list[str | Path] = [
        program,
        "models",
        "serve",
        "-m",
        folder,
        "-p",
        str(port),
        "--env-manager",
        "local",
        "--workers",
        "1",
    ]
    body = json.dumps({"inputs": [graph.row]}).encode()
    with Server(command, port, graph.folder, "/ping", _of(graph, program)) as server:
        yield Rival(server, request(port, "/invocations", body))


def _of(graph: Graph, program: Path) -> dict[str, str]:
    """Variables by which a server finds its own programs and our file first."""
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return graph.variables | {"PATH": path, "PYTHONPATH": str(HERE)}


OF_MODELS: dict[str, Callable[[Graph], AbstractContextManager[Rival]]] = {
    "mlserver": mlserver,
    "mlflow": mlflow,
    "bentoml": bentoml,
}
