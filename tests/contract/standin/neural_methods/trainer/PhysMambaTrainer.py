"""Trains a network that needs packages which only few machines have."""

from neural_methods.model.PhysMamba import PhysMamba
from neural_methods.trainer.PhysnetTrainer import PhysnetTrainer


class PhysMambaTrainer(PhysnetTrainer):
    def build(self, config):
        return PhysMamba()
