"""UBFC-rPPG: subjectN/vid.avi and subjectN/ground_truth.txt."""

import glob
import os

import cv2
import numpy as np

from dataset.data_loader.BaseLoader import BaseLoader


class UBFCrPPGLoader(BaseLoader):
    def __init__(self, name, data_path, config_data, device=None):
        super().__init__(name, data_path, config_data, device)

    def get_raw_data(self, data_path):
        folders = glob.glob(data_path + os.sep + "subject*")
        if not folders:
            raise ValueError(f"{self.dataset_name}: no folders subject* in {data_path}")
        return [{"index": self.first_match(r"subject(\d+)", f), "path": f} for f in folders]

    def split_raw_data(self, data_dirs, begin, end):
        n = len(data_dirs)
        return data_dirs[int(begin * n) : int(end * n)]

    def preprocess_dataset_subprocess(self, data_dirs, config_preprocess, i, file_list_dict):
        folder, name = data_dirs[i]["path"], data_dirs[i]["index"]
        frames = self.read_video(os.path.join(folder, "vid.avi"))
        bvps = self.read_wave(os.path.join(folder, "ground_truth.txt"))
        clips = self.preprocess(frames, bvps, config_preprocess)
        file_list_dict[i] = self.save_multi_process(*clips, name)

    @staticmethod
    def read_video(path):
        """Frames (T, H, W, 3) uint8 RGB."""
        video, frames = cv2.VideoCapture(path), []
        success, frame = video.read()
        while success:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            success, frame = video.read()
        return np.asarray(frames)

    @staticmethod
    def read_wave(path):
        """The BVP (T,), which is the first line."""
        with open(path) as file:
            return np.asarray([float(word) for word in file.readline().split()])
