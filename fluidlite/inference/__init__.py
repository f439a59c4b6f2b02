"""Serving: models that `fluid.io.save_inference_model`, ours or Fluid's, saved, run by many threads and processes."""

from .analysis import AnalysisConfig, AnalysisPredictor, PaddleBuf, PaddleDType, PaddleTensor, create_paddle_predictor
from .predictor import Predictor

__all__ = [
    "AnalysisConfig",
    "AnalysisPredictor",
    "PaddleBuf",
    "PaddleDType",
    "PaddleTensor",
    "Predictor",
    "create_paddle_predictor",
]
