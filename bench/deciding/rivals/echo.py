"""What teams write by hand: FastAPI, pydantic and ONNX Runtime, features in the body. `MODEL` names the graph."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from jobs.models.runtime import INPUT, OUTPUT, session

app = FastAPI()
graph = session(Path(os.environ["MODEL"]).read_bytes())


class Payment(BaseModel):
    transaction_id: int
    features: list[float]


class Answer(BaseModel):
    transaction_id: int
    decision: str
    score: float
    model_version: str
    decided_at: datetime


@app.get("/")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/decisions")
async def decide(payment: Payment) -> Answer:
    [[score]] = [graph.run([OUTPUT], {INPUT: np.array([payment.features], np.float32)})[0]]
    decision = "block" if score >= 0.9 else "review" if score >= 0.5 else "approve"
    return Answer(
        transaction_id=payment.transaction_id, decision=decision, score=float(score), model_version="1",
        decided_at=datetime.now(UTC),
    )  # fmt: skip


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
