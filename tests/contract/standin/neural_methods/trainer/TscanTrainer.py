"""Trains a network that takes frames one by one and shifts them within segments."""

from neural_methods.model.TS_CAN import TSCAN
from neural_methods.trainer.loop_trainer import LoopTrainer


class TscanTrainer(LoopTrainer):
    def build(self, config):
        self.frame_depth = config.MODEL.TSCAN.FRAME_DEPTH
        # Frames beyond a multiple of this are cut from every batch.
        self.base_len = self.num_of_gpu * self.frame_depth
        return TSCAN(self.frame_depth, config.TEST.DATA.PREPROCESS.RESIZE.H)

    def read(self, data, labels):
        n, d, c, h, w = data.shape
        data = data.view(n * d, c, h, w)
        labels = labels.view(-1, 1)
        keep = (n * d) // self.base_len * self.base_len
        return self.model(data[:keep]), labels[:keep]
