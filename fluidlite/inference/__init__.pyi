# Made by tools/make_stubs.py.
from fluidlite.inference.analysis import AnalysisConfig as AnalysisConfig
from fluidlite.inference.analysis import AnalysisPredictor as AnalysisPredictor
from fluidlite.inference.analysis import PaddleBuf as PaddleBuf
from fluidlite.inference.analysis import PaddleDType as PaddleDType
from fluidlite.inference.analysis import PaddleTensor as PaddleTensor
from fluidlite.inference.analysis import create_paddle_predictor as create_paddle_predictor
from fluidlite.inference.predictor import Predictor as Predictor


