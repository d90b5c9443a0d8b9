"""The gRPC side of a worker: the inference protocol, health, and reflection, on a port that workers share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from jobs.errors import EvergreenError
from serving.decisions import grpc_decisions
from serving.decisions.routes import Services
from serving.grpc_access import GrpcAccess
from serving.inference_protocol import grpc_messages, grpc_service
from serving.live_models.watch import LiveModels
from serving.proto_files import POOL
from serving.tls import TlsFiles
from serving.web.access import Access
from serving.web.body import MEGABYTE

THREADS = 4
DRAIN_SECONDS = 10.0
OPTIONS = (("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", 8 * MEGABYTE))


class GrpcServer:
    """A server that listens from the start."""

    def __init__(
        self, models: LiveModels, decisions: Services, access: Access, place: tuple[str, int], tls: TlsFiles | None
    ) -> None:
        host, port = place
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="grpc")
        self._server = grpc.server(pool, interceptors=[GrpcAccess(access)], options=OPTIONS)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers([grpc_service.handler(models), grpc_decisions.handler(decisions)])
        names = (
            grpc_messages.SERVICE, grpc_decisions.FILE.full_service, health.SERVICE_NAME, reflection.SERVICE_NAME,
        )  # fmt: skip
        reflection.enable_server_reflection(names, self._server, pool=POOL)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, tls.credentials())
        except RuntimeError:
            raise EvergreenError(f"--grpc-port {port}: expected a free port, found it taken; choose another") from None
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """End: calls that run are answered, new ones go to other workers."""
        self._health.enter_graceful_shutdown()
        self._server.stop(DRAIN_SECONDS).wait()
