"""Saves a graph as a model of MLflow; arguments: the graph, where to, and how many features it has."""

import sys

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

graph, folder, width = sys.argv[1:]
made = Schema([TensorSpec(np.dtype(np.float32), (-1,), "score")])
# An unnamed input takes rows as they are.
given = Schema([TensorSpec(np.dtype(np.float32), (-1, int(width)))])
mlflow.onnx.save_model(onnx.load(graph), folder, signature=ModelSignature(given, made))
