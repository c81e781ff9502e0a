"""What the loaders of all datasets share: preprocessing into files, and reading those."""

import csv
import glob
import multiprocessing as mp
import os
import re
import time

import cv2
import numpy as np
from torch.utils.data import Dataset

mp.set_start_method("spawn", force=True)

CASCADE = "./dataset/haarcascade_frontalface_default.xml"


class BaseLoader(Dataset):
    """Clips of one dataset.

    A dataset gives `get_raw_data`, `split_raw_data` and `preprocess_dataset_subprocess`.
    """

    @staticmethod
    def add_data_loader_args(parser):
        parser.add_argument("--cached_path", default=None, type=str)
        parser.add_argument("--preprocess", default=None, action="store_true")
        return parser

    def __init__(self, dataset_name, raw_data_path, config_data, device=None):
        self.dataset_name = dataset_name
        self.raw_data_path = raw_data_path
        self.config_data = config_data
        self.device = device
        self.cached_path = config_data.CACHED_PATH
        self.file_list_path = config_data.FILE_LIST_PATH
        self.data_format = config_data.DATA_FORMAT
        self.inputs, self.labels = [], []
        if not os.path.exists(raw_data_path):
            raise ValueError(f"{dataset_name}: DATA_PATH does not exist: {raw_data_path}")
        dirs = self.get_raw_data(raw_data_path)
        if config_data.DO_PREPROCESS:
            from dataset.yolo_face import YoloFace

            self.preprocess_dataset(
                dirs, config_data.PREPROCESS, config_data.BEGIN, config_data.END
            )
        else:
            if not os.path.exists(self.cached_path):
                raise ValueError(f"{dataset_name}: nothing is preprocessed in {self.cached_path}")
            if not os.path.exists(self.file_list_path):
                self.build_file_list_retroactive(dirs, config_data.BEGIN, config_data.END)
            self.load_preprocessed_data()
        print(f"{dataset_name}: {len(self.inputs)} clips from {self.cached_path}", end="\n\n")

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        """(data float32, label float32, file name, chunk number)."""
        data, label = np.load(self.inputs[index]), np.load(self.labels[index])
        if self.data_format == "NDCHW":
            data = np.transpose(data, (0, 3, 1, 2))
        elif self.data_format == "NCDHW":
            data = np.transpose(data, (3, 0, 1, 2))
        elif self.data_format != "NDHWC":
            raise ValueError("Unsupported data format!")
        name, _, chunk = os.path.basename(self.inputs[index]).rpartition("_input")
        return np.float32(data), np.float32(label), name, chunk.split(".")[0]

    def get_raw_data(self, raw_data_path):
        raise NotImplementedError

    def split_raw_data(self, data_dirs, begin, end):
        raise NotImplementedError

    def preprocess_dataset_subprocess(self, data_dirs, config_preprocess, i, file_list_dict):
        raise NotImplementedError

    # From videos to files

    def preprocess_dataset(self, data_dirs, config_preprocess, begin, end):
        """Preprocess the videos between `begin` and `end`, and list the files made of them."""
        split = self.split_raw_data(data_dirs, begin, end)
        file_list_dict = self.multi_process_manager(split, config_preprocess)
        self.build_file_list(file_list_dict)
        self.load_preprocessed_data()
        print(f"Raw files preprocessed: {len(split)}", end="\n\n")

    def multi_process_manager(self, data_dirs, config_preprocess, multi_process_quota=8):
        """One process per video, at most `multi_process_quota` at a time.

        Nobody asks how a process ended.
        """
        print(f"Preprocessing {len(data_dirs)} videos ...")
        file_list_dict = mp.Manager().dict()
        running = []
        for i in range(len(data_dirs)):
            while len(running) >= multi_process_quota:
                time.sleep(0.02)
                running = [process for process in running if process.is_alive()]
            process = mp.Process(
                target=self.preprocess_dataset_subprocess,
                args=(data_dirs, config_preprocess, i, file_list_dict),
            )
            process.start()
            running.append(process)
        for process in running:
            process.join()
        return file_list_dict

    def preprocess(self, frames, bvps, config_preprocess):
        """Frames (T, H, W, 3) uint8 RGB and bvps (T,) -> clips (N, D, h, w, C) and (N, D)."""
        frames = self.crop_face_resize(frames, config_preprocess)
        data = []
        for data_type in config_preprocess.DATA_TYPE:
            if data_type == "Raw":
                data.append(frames.copy())
            elif data_type == "DiffNormalized":
                data.append(self.diff_normalize_data(frames))
            elif data_type == "Standardized":
                data.append(self.standardized_data(frames))
            else:
                raise ValueError("Unsupported data type!")
        data = np.concatenate(data, axis=-1)
        if config_preprocess.LABEL_TYPE == "DiffNormalized":
            bvps = self.diff_normalize_label(bvps)
        elif config_preprocess.LABEL_TYPE == "Standardized":
            bvps = self.standardized_label(bvps)
        elif config_preprocess.LABEL_TYPE != "Raw":
            raise ValueError("Unsupported label type!")
        if config_preprocess.DO_CHUNK:
            return self.chunk(data, bvps, config_preprocess.CHUNK_LENGTH)
        return np.array([data]), np.array([bvps])

    def crop_face_resize(self, frames, config_preprocess):
        """Face crops (T, H, W, 3) float64."""
        face = config_preprocess.CROP_FACE
        every = len(frames)
        if face.DETECTION.DO_DYNAMIC_DETECTION:
            every = face.DETECTION.DYNAMIC_DETECTION_FREQUENCY
        boxes = []
        for frame in frames[::every]:
            if face.DO_CROP_FACE:
                boxes.append(self.face_detection(frame, face))
            else:
                boxes.append([0, 0, frame.shape[1], frame.shape[0]])
        if face.DETECTION.USE_MEDIAN_FACE_BOX:
            boxes = [np.median(boxes, axis=0).astype(int)] * len(boxes)
        size = (config_preprocess.RESIZE.W, config_preprocess.RESIZE.H)
        out = np.zeros((len(frames), size[1], size[0], 3))
        for i, frame in enumerate(frames):
            x, y, w, h = boxes[i // every]
            part = frame[y : min(y + h, frame.shape[0]), x : min(x + w, frame.shape[1])]
            out[i] = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        return out

    def face_detection(self, frame, face):
        """The largest face [x, y, w, h], enlarged as `face` (CROP_FACE) says."""
        if face.BACKEND != "HC":
            raise ValueError("Unsupported face detection backend!")
        found = cv2.CascadeClassifier(CASCADE).detectMultiScale(frame)
        if len(found) < 1:
            print("No face was found.")
            x, y, w, h = 0, 0, frame.shape[0], frame.shape[1]
        else:
            x, y, w, h = max(found, key=lambda box: box[2])
        if face.USE_LARGE_FACE_BOX:
            c = face.LARGE_BOX_COEF
            x, y = max(0, x - (c - 1) / 2 * w), max(0, y - (c - 1) / 2 * h)
            w, h = c * w, c * h
        return [int(x), int(y), int(w), int(h)]

    def save_multi_process(self, frames_clips, bvps_clips, filename):
        """Write the clips of one video; their input files."""
        os.makedirs(self.cached_path, exist_ok=True)
        paths = []
        for k in range(len(bvps_clips)):
            paths.append(os.path.join(self.cached_path, f"{filename}_input{k}.npy"))
            np.save(paths[-1], frames_clips[k])
            np.save(os.path.join(self.cached_path, f"{filename}_label{k}.npy"), bvps_clips[k])
        return paths

    # Lists of files

    def build_file_list(self, file_list_dict):
        files = [path for paths in file_list_dict.values() for path in paths]
        if not files:
            raise ValueError(f"{self.dataset_name}: preprocessing made no files")
        self._write_file_list(files)

    def build_file_list_retroactive(self, data_dirs, begin, end):
        """List what an earlier run preprocessed of the videos between `begin` and `end`."""
        files = []
        for entry in self.split_raw_data(data_dirs, begin, end):
            files += glob.glob(os.path.join(self.cached_path, f"{entry['index']}_input*.npy"))
        if not files:
            raise ValueError(f"{self.dataset_name}: no preprocessed files in {self.cached_path}")
        self._write_file_list(files)

    def _write_file_list(self, files):
        os.makedirs(os.path.dirname(self.file_list_path), exist_ok=True)
        with open(self.file_list_path, "w", newline="") as file:
            csv.writer(file).writerows([["", "input_files"], *enumerate(files)])

    def load_preprocessed_data(self):
        with open(self.file_list_path, newline="") as file:
            inputs = sorted(row["input_files"] for row in csv.DictReader(file))
        if not inputs:
            raise ValueError(f"{self.dataset_name}: {self.file_list_path} lists no files")
        self.inputs = inputs
        self.labels = [path.replace("input", "label") for path in inputs]

    # Pieces of preprocessing

    @staticmethod
    def resample_ppg(signal, length):
        """Stretch a signal over `length` samples, by index."""
        n = len(signal)
        return np.interp(np.linspace(1, n, length), np.linspace(1, n, n), signal)

    @staticmethod
    def chunk(frames, bvps, chunk_length):
        starts = range(0, len(frames) - chunk_length + 1, chunk_length)
        return (
            np.array([frames[i : i + chunk_length] for i in starts]),
            np.array([bvps[i : i + chunk_length] for i in starts]),
        )

    @staticmethod
    def diff_normalize_data(data):
        diff = (data[1:] - data[:-1]) / (data[1:] + data[:-1] + 1e-7)
        diff = np.append(diff / np.std(diff), np.zeros((1, *data.shape[1:])), axis=0)
        return np.nan_to_num(diff, nan=0.0).astype(np.float32)

    @staticmethod
    def diff_normalize_label(label):
        diff = np.diff(label)
        return np.nan_to_num(np.append(diff / np.std(diff), 0.0), nan=0.0)

    @staticmethod
    def standardized_data(data):
        return np.nan_to_num((data - np.mean(data)) / np.std(data), nan=0.0)

    @staticmethod
    def standardized_label(label):
        return np.nan_to_num((label - np.mean(label)) / np.std(label), nan=0.0)

    @staticmethod
    def first_match(pattern, text):
        """The first match of a pattern, or an error that names the text."""
        match = re.search(pattern, text)
        if match is None:
            raise ValueError(f"{text} does not contain {pattern}")
        return match.group(0)
