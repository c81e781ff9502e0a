"""PURE: NN-MM/NN-MM/Image*.png and NN-MM/NN-MM.json; NN is the subject."""

import glob
import json
import os

import cv2
import numpy as np

from dataset.data_loader.BaseLoader import BaseLoader


class PURELoader(BaseLoader):
    def __init__(self, name, data_path, config_data, device=None):
        super().__init__(name, data_path, config_data, device)

    def get_raw_data(self, data_path):
        folders = glob.glob(data_path + os.sep + "*-*")
        if not folders:
            raise ValueError(f"{self.dataset_name}: no folders NN-MM in {data_path}")
        dirs = []
        for folder in folders:
            number = os.path.basename(folder).replace("-", "")
            dirs.append({"index": int(number), "path": folder, "subject": int(number[:2])})
        return dirs

    def split_raw_data(self, data_dirs, begin, end):
        """The recordings of the subjects between `begin` and `end`."""
        subjects = sorted({entry["subject"] for entry in data_dirs})
        chosen = subjects[int(begin * len(subjects)) : int(end * len(subjects))]
        return [entry for entry in data_dirs if entry["subject"] in chosen]

    def preprocess_dataset_subprocess(self, data_dirs, config_preprocess, i, file_list_dict):
        folder, name = data_dirs[i]["path"], data_dirs[i]["index"]
        recording = os.path.basename(folder)
        frames = self.read_video(os.path.join(folder, recording, ""))
        bvps = self.read_wave(os.path.join(folder, f"{recording}.json"))
        bvps = self.resample_ppg(bvps, len(frames))
        clips = self.preprocess(frames, bvps, config_preprocess)
        file_list_dict[i] = self.save_multi_process(*clips, name)

    @staticmethod
    def read_video(path):
        """Frames (T, H, W, 3) RGB of a folder of images, in the order of their names."""
        files = sorted(glob.glob(path + "*.png"))
        return np.asarray([cv2.cvtColor(cv2.imread(f), cv2.COLOR_BGR2RGB) for f in files])

    @staticmethod
    def read_wave(path):
        with open(path) as file:
            package = json.load(file)["/FullPackage"]
        return np.asarray([sample["Value"]["waveform"] for sample in package], dtype=float)
