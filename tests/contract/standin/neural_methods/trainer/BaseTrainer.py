"""What every trainer has: its command line, and the files it leaves."""

import os
import pickle


class BaseTrainer:
    """A trainer is built with (config, data_loader_dict); then `train` and `test` are called."""

    @staticmethod
    def add_trainer_args(parser):
        parser.add_argument("--lr", default=None, type=float)
        parser.add_argument("--model_file_name", default=None, type=str)
        return parser

    def train(self, data_loader):
        pass

    def valid(self, data_loader):
        pass

    def test(self, data_loader):
        pass

    def save_test_outputs(self, predictions, labels, config):
        """predictions[video][chunk] and labels[video][chunk] as tensors, in one pickle."""
        folder = config.TEST.OUTPUT_SAVE_DIR
        os.makedirs(folder, exist_ok=True)
        if config.TOOLBOX_MODE == "train_and_test":
            name = self.model_file_name
        else:
            weights = os.path.basename(config.INFERENCE.MODEL_PATH).removesuffix(".pth")
            name = f"{weights}_{config.TEST.DATA.DATASET}"
        path = os.path.join(folder, f"{name}_outputs.pickle")
        content = {
            "predictions": predictions,
            "labels": labels,
            "label_type": config.TEST.DATA.PREPROCESS.LABEL_TYPE,
            "fs": config.TEST.DATA.FS,
        }
        with open(path, "wb") as file:
            pickle.dump(content, file)
        print(f"Saved outputs to {path}")

    def plot_losses_and_lrs(self, train_loss, valid_loss, lrs, config):
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot as plt

        folder = os.path.join(config.LOG.PATH, config.TRAIN.DATA.EXP_DATA_NAME, "plots")
        os.makedirs(folder, exist_ok=True)
        for what, curves in (("losses", [train_loss, valid_loss]), ("lrs", [lrs])):
            figure, axes = plt.subplots()
            for curve in curves:
                axes.plot(curve)
            figure.savefig(os.path.join(folder, f"{self.model_file_name}_{what}.pdf"))
            plt.close(figure)
