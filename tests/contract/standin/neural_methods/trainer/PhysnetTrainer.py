"""Trains a network that takes whole clips (N, C, D, H, W), and of those the first channels."""

from neural_methods.model.PhysNet import PhysNet
from neural_methods.trainer.loop_trainer import LoopTrainer


class PhysnetTrainer(LoopTrainer):
    def build(self, config):
        return PhysNet()

    def read(self, data, labels):
        return self.model(data[:, :3]), labels
