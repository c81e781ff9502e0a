"""Trains, tests or runs classical methods, as a configuration file says."""

import argparse
import random

import numpy as np
import torch
from config import get_config
from dataset import data_loader
from neural_methods import trainer
from torch.utils.data import DataLoader
from unsupervised_methods.unsupervised_predictor import unsupervised_predict

RANDOM_SEED = 100
torch.manual_seed(RANDOM_SEED)
torch.cuda.manual_seed_all(RANDOM_SEED)
np.random.seed(RANDOM_SEED)
random.seed(RANDOM_SEED)
torch.backends.cudnn.deterministic = True
torch.backends.cudnn.benchmark = False
general_generator = torch.Generator()
general_generator.manual_seed(RANDOM_SEED)
train_generator = torch.Generator()
train_generator.manual_seed(RANDOM_SEED)


def seed_worker(worker_id):
    """NumPy and random follow torch's seed in every worker."""
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def add_args(parser):
    parser.add_argument("--config_file", type=str, default="configs/default.yaml")
    return parser


def train_and_test(config, data_loader_dict):
    """Train the model that MODEL.NAME names, then test it."""
    if config.MODEL.NAME == "Tscan":
        model_trainer = trainer.TscanTrainer.TscanTrainer(config, data_loader_dict)
    elif config.MODEL.NAME == "Physnet":
        model_trainer = trainer.PhysnetTrainer.PhysnetTrainer(config, data_loader_dict)
    elif config.MODEL.NAME == "PhysMamba":
        model_trainer = trainer.PhysMambaTrainer.PhysMambaTrainer(config, data_loader_dict)
    else:
        raise ValueError("This model is not supported!")
    model_trainer.train(data_loader_dict)
    model_trainer.test(data_loader_dict)


def test(config, data_loader_dict):
    """Test the model that MODEL.NAME names with the weights in INFERENCE.MODEL_PATH."""
    if config.MODEL.NAME == "Tscan":
        model_trainer = trainer.TscanTrainer.TscanTrainer(config, data_loader_dict)
    elif config.MODEL.NAME == "Physnet":
        model_trainer = trainer.PhysnetTrainer.PhysnetTrainer(config, data_loader_dict)
    elif config.MODEL.NAME == "PhysMamba":
        model_trainer = trainer.PhysMambaTrainer.PhysMambaTrainer(config, data_loader_dict)
    else:
        raise ValueError("This model is not supported!")
    model_trainer.test(data_loader_dict)


def unsupervised_method_inference(config, data_loader):
    """Run the classical methods in UNSUPERVISED.METHOD, one after the other."""
    if not config.UNSUPERVISED.METHOD:
        raise ValueError("UNSUPERVISED.METHOD names no method!")
    for method in config.UNSUPERVISED.METHOD:
        if method == "GREEN":
            unsupervised_predict(config, data_loader, "GREEN")
        elif method == "CHROM":
            unsupervised_predict(config, data_loader, "CHROM")
        elif method == "POS":
            unsupervised_predict(config, data_loader, "POS")
        elif method == "PBV":
            unsupervised_predict(config, data_loader, "PBV")
        elif method == "LGI":
            unsupervised_predict(config, data_loader, "LGI")
        elif method == "OMIT":
            unsupervised_predict(config, data_loader, "OMIT")
        else:
            raise ValueError("This unsupervised method is not supported!")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser = add_args(parser)
    parser = trainer.BaseTrainer.BaseTrainer.add_trainer_args(parser)
    parser = data_loader.BaseLoader.BaseLoader.add_data_loader_args(parser)
    args = parser.parse_args()

    config = get_config(args)
    print("Configuration:")
    print(config, end="\n\n")

    data_loader_dict = dict()
    if config.TOOLBOX_MODE == "train_and_test":
        if config.TRAIN.DATA.DATASET == "UBFC-rPPG":
            train_loader = data_loader.UBFCrPPGLoader.UBFCrPPGLoader
        elif config.TRAIN.DATA.DATASET == "PURE":
            train_loader = data_loader.PURELoader.PURELoader
        else:
            raise ValueError("Unsupported dataset!")

        if config.TRAIN.DATA.DATASET and config.TRAIN.DATA.DATA_PATH:
            train_data = train_loader(
                name="train",
                data_path=config.TRAIN.DATA.DATA_PATH,
                config_data=config.TRAIN.DATA,
                device=config.DEVICE,
            )
            data_loader_dict["train"] = DataLoader(
                dataset=train_data,
                num_workers=16,
                batch_size=config.TRAIN.BATCH_SIZE,
                shuffle=True,
                worker_init_fn=seed_worker,
                generator=train_generator,
            )
        else:
            data_loader_dict["train"] = None

        if config.VALID.DATA.DATASET == "UBFC-rPPG":
            valid_loader = data_loader.UBFCrPPGLoader.UBFCrPPGLoader
        elif config.VALID.DATA.DATASET == "PURE":
            valid_loader = data_loader.PURELoader.PURELoader
        elif config.VALID.DATA.DATASET is None and not config.TEST.USE_LAST_EPOCH:
            raise ValueError("No validation data, but USE_LAST_EPOCH is False!")
        elif config.VALID.DATA.DATASET is not None:  # an omitted section is '', not None
            raise ValueError("Unsupported dataset!")

        if config.VALID.DATA.DATASET and config.VALID.DATA.DATA_PATH:
            if not config.TEST.USE_LAST_EPOCH:
                valid_data = valid_loader(
                    name="valid",
                    data_path=config.VALID.DATA.DATA_PATH,
                    config_data=config.VALID.DATA,
                    device=config.DEVICE,
                )
                data_loader_dict["valid"] = DataLoader(
                    dataset=valid_data,
                    num_workers=16,
                    batch_size=config.TRAIN.BATCH_SIZE,
                    shuffle=False,
                    worker_init_fn=seed_worker,
                    generator=general_generator,
                )
            else:
                data_loader_dict["valid"] = None
        else:
            data_loader_dict["valid"] = None

    if config.TOOLBOX_MODE == "train_and_test" or config.TOOLBOX_MODE == "only_test":
        if config.TEST.DATA.DATASET == "UBFC-rPPG":
            test_loader = data_loader.UBFCrPPGLoader.UBFCrPPGLoader
        elif config.TEST.DATA.DATASET == "PURE":
            test_loader = data_loader.PURELoader.PURELoader
        else:
            raise ValueError("Unsupported dataset!")

        if config.TEST.DATA.DATASET and config.TEST.DATA.DATA_PATH:
            test_data = test_loader(
                name="test",
                data_path=config.TEST.DATA.DATA_PATH,
                config_data=config.TEST.DATA,
                device=config.DEVICE,
            )
            data_loader_dict["test"] = DataLoader(
                dataset=test_data,
                num_workers=16,
                batch_size=config.INFERENCE.BATCH_SIZE,
                shuffle=False,
                worker_init_fn=seed_worker,
                generator=general_generator,
            )
        else:
            data_loader_dict["test"] = None

    elif config.TOOLBOX_MODE == "unsupervised_method":
        if config.UNSUPERVISED.DATA.DATASET == "UBFC-rPPG":
            unsupervised_loader = data_loader.UBFCrPPGLoader.UBFCrPPGLoader
        elif config.UNSUPERVISED.DATA.DATASET == "PURE":
            unsupervised_loader = data_loader.PURELoader.PURELoader
        else:
            raise ValueError("Unsupported dataset!")

        unsupervised_data = unsupervised_loader(
            name="unsupervised",
            data_path=config.UNSUPERVISED.DATA.DATA_PATH,
            config_data=config.UNSUPERVISED.DATA,
            device=config.DEVICE,
        )
        data_loader_dict["unsupervised"] = DataLoader(
            dataset=unsupervised_data,
            num_workers=16,
            batch_size=1,
            shuffle=False,
            worker_init_fn=seed_worker,
            generator=general_generator,
        )
    else:
        raise ValueError("Unsupported toolbox mode!")

    if config.TOOLBOX_MODE == "train_and_test":
        train_and_test(config, data_loader_dict)
    elif config.TOOLBOX_MODE == "only_test":
        test(config, data_loader_dict)
    elif config.TOOLBOX_MODE == "unsupervised_method":
        unsupervised_method_inference(config, data_loader_dict)
