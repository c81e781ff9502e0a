"""Configuration: a yacs tree, files merged into it, and the paths that follow from both."""

import os

import yaml
from yacs.config import CfgNode as CN


def _anything():
    """A section whose keys nothing here reads."""
    return CN(new_allowed=True)


def _data():
    """The section DATA that TRAIN, VALID, TEST and UNSUPERVISED have each."""
    c = CN()
    c.FS = 0
    c.DATASET = ""
    c.DATA_PATH = ""
    c.DATA_FORMAT = "NDCHW"
    c.DO_PREPROCESS = False
    c.BEGIN = 0.0
    c.END = 1.0
    c.EXP_DATA_NAME = ""
    c.CACHED_PATH = "PreprocessedData"
    c.FILE_LIST_PATH = ""
    c.FOLD = CN({"FOLD_NAME": "", "FOLD_PATH": ""})
    c.INFO = _anything()
    c.FILTERING = _anything()
    c.PREPROCESS = CN()
    c.PREPROCESS.USE_PSUEDO_PPG_LABEL = False
    c.PREPROCESS.DATA_TYPE = [""]
    c.PREPROCESS.DATA_AUG = ["None"]
    c.PREPROCESS.LABEL_TYPE = ""
    c.PREPROCESS.DO_CHUNK = True
    c.PREPROCESS.CHUNK_LENGTH = 180
    c.PREPROCESS.CROP_FACE = CN()
    c.PREPROCESS.CROP_FACE.DO_CROP_FACE = True
    c.PREPROCESS.CROP_FACE.BACKEND = "HC"
    c.PREPROCESS.CROP_FACE.USE_LARGE_FACE_BOX = True
    c.PREPROCESS.CROP_FACE.LARGE_BOX_COEF = 1.5
    c.PREPROCESS.CROP_FACE.DETECTION = CN()
    c.PREPROCESS.CROP_FACE.DETECTION.DO_DYNAMIC_DETECTION = False
    c.PREPROCESS.CROP_FACE.DETECTION.DYNAMIC_DETECTION_FREQUENCY = 30
    c.PREPROCESS.CROP_FACE.DETECTION.USE_MEDIAN_FACE_BOX = False
    c.PREPROCESS.RESIZE = CN({"W": 128, "H": 128})
    c.PREPROCESS.BIGSMALL = _anything()
    c.PREPROCESS.IBVP = _anything()
    return c


_C = CN()
_C.BASE = [""]
_C.TOOLBOX_MODE = ""
_C.DEVICE = "cuda:0"
_C.NUM_OF_GPU_TRAIN = 1
_C.LOG = CN({"PATH": "runs/exp"})

_C.TRAIN = CN()
_C.TRAIN.EPOCHS = 50
_C.TRAIN.BATCH_SIZE = 4
_C.TRAIN.LR = 1e-4
_C.TRAIN.OPTIMIZER = CN({"EPS": 1e-4, "BETAS": (0.9, 0.999), "MOMENTUM": 0.9})
_C.TRAIN.MODEL_FILE_NAME = ""
_C.TRAIN.PLOT_LOSSES_AND_LR = True
_C.TRAIN.DATA = _data()

_C.VALID = CN()
_C.VALID.DATA = _data()

_C.TEST = CN()
_C.TEST.METRICS = []
_C.TEST.USE_LAST_EPOCH = True
_C.TEST.OUTPUT_SAVE_DIR = ""
_C.TEST.DATA = _data()

_C.UNSUPERVISED = CN()
_C.UNSUPERVISED.METHOD = []
_C.UNSUPERVISED.METRICS = []
_C.UNSUPERVISED.OUTPUT_SAVE_DIR = ""
_C.UNSUPERVISED.DATA = _data()

_C.MODEL = CN()
_C.MODEL.NAME = ""
_C.MODEL.RESUME = ""
_C.MODEL.DROP_RATE = 0.0
_C.MODEL.MODEL_DIR = "PreTrainedModels"
_C.MODEL.TSCAN = CN({"FRAME_DEPTH": 10})
_C.MODEL.PHYSNET = CN({"FRAME_NUM": 64})
_C.MODEL.EFFICIENTPHYS = _anything()
_C.MODEL.BIGSMALL = _anything()
_C.MODEL.PHYSFORMER = _anything()
_C.MODEL.iBVPNet = _anything()
_C.MODEL.FactorizePhys = _anything()

_C.INFERENCE = CN()
_C.INFERENCE.BATCH_SIZE = 4
_C.INFERENCE.EVALUATION_METHOD = "FFT"
_C.INFERENCE.EVALUATION_WINDOW = CN({"USE_SMALLER_WINDOW": False, "WINDOW_SIZE": 10})
_C.INFERENCE.MODEL_PATH = ""


def _merge_file(config, path):
    """Merge a YAML after the files that it names as its BASE."""
    with open(path) as file:
        tree = yaml.load(file, Loader=yaml.FullLoader)
    for base in tree.get("BASE", []):
        if base:
            _merge_file(config, os.path.join(os.path.dirname(path), base))
    print(f"=> merging configuration from {path}")
    config.merge_from_file(path)


def _experiment_name(data, suffix):
    p = data.PREPROCESS
    face, detection = p.CROP_FACE, p.CROP_FACE.DETECTION
    parts = [
        data.DATASET,
        f"SizeW{p.RESIZE.W}",
        f"SizeH{p.RESIZE.W}",
        f"ClipLength{p.CHUNK_LENGTH}",
        "DataType" + "_".join(p.DATA_TYPE),
        "DataAug" + "_".join(p.DATA_AUG),
        f"LabelType{p.LABEL_TYPE}",
        f"Crop_face{face.DO_CROP_FACE}",
        f"Backend{face.BACKEND}",
        f"Large_box{face.USE_LARGE_FACE_BOX}",
        f"Large_size{face.LARGE_BOX_COEF}",
        f"Dyamic_Det{detection.DO_DYNAMIC_DETECTION}",
        f"det_len{detection.DYNAMIC_DETECTION_FREQUENCY}",
        f"Median_face_box{detection.USE_MEDIAN_FACE_BOX}",
    ]
    return "_".join(parts + suffix)


def _derive_data_paths(data, suffix):
    if not data.DATASET:
        return
    data.EXP_DATA_NAME = data.EXP_DATA_NAME or _experiment_name(data, suffix)
    lists = data.FILE_LIST_PATH or os.path.join(data.CACHED_PATH, "DataFileLists")
    extension = os.path.splitext(lists)[1]
    if not extension:
        fold = f"_{data.FOLD.FOLD_NAME}" if data.FOLD.FOLD_NAME else ""
        name = f"{data.EXP_DATA_NAME}_{data.BEGIN}_{data.END}{fold}.csv"
        lists = os.path.join(lists, name)
    elif extension != ".csv":
        raise ValueError(f"FILE_LIST_PATH must be a folder or a .csv file: {lists}")
    data.FILE_LIST_PATH = lists
    data.CACHED_PATH = os.path.join(data.CACHED_PATH, data.EXP_DATA_NAME)


def update_config(config, args):
    """Merge the file given on the command line, then fill in what follows from it."""
    config.defrost()
    _merge_file(config, args.config_file)
    for section in (config.TRAIN, config.VALID, config.TEST):
        _derive_data_paths(section.DATA, [])
    _derive_data_paths(config.UNSUPERVISED.DATA, ["unsupervised"])
    logs, saved = config.LOG.PATH, "saved_test_outputs"
    config.MODEL.MODEL_DIR = os.path.join(
        logs, config.TRAIN.DATA.EXP_DATA_NAME, config.MODEL.MODEL_DIR
    )
    for section in (config.TEST, config.UNSUPERVISED):
        section.OUTPUT_SAVE_DIR = os.path.join(logs, section.DATA.EXP_DATA_NAME, saved)
    config.freeze()


def get_config(args):
    """The configuration of `args.config_file`; the defaults stay as they are."""
    config = _C.clone()
    update_config(config, args)
    return config
