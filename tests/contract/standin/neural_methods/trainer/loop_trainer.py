"""The loops that the trainers here share; each says only how its network reads a batch."""

import os

import torch
from evaluation.metrics import calculate_metrics
from neural_methods.trainer.BaseTrainer import BaseTrainer
from torch.optim.lr_scheduler import OneCycleLR


class LoopTrainer(BaseTrainer):
    """Attributes of a trainer: `build(config)` gives its network, `read(data, labels)` runs it."""

    def __init__(self, config, data_loader_dict):
        if config.TOOLBOX_MODE not in ("train_and_test", "only_test"):
            raise ValueError("This trainer trains and tests, nothing else!")
        self.config = config
        self.device = torch.device(config.DEVICE)
        self.num_of_gpu = config.NUM_OF_GPU_TRAIN
        self.model_dir = config.MODEL.MODEL_DIR
        self.model_file_name = config.TRAIN.MODEL_FILE_NAME
        self.max_epoch_num = config.TRAIN.EPOCHS
        self.best_epoch, self.min_valid_loss = 0, None
        self.model = torch.nn.DataParallel(
            self.build(config).to(self.device), device_ids=list(range(self.num_of_gpu))
        )
        self.criterion = torch.nn.MSELoss()
        if config.TOOLBOX_MODE == "train_and_test":
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.TRAIN.LR)
            self.scheduler = OneCycleLR(
                self.optimizer,
                max_lr=config.TRAIN.LR,
                epochs=self.max_epoch_num,
                steps_per_epoch=len(data_loader_dict["train"]),
            )

    def build(self, config):
        raise NotImplementedError

    def read(self, data, labels):
        """(predictions, labels) of a batch, equally shaped, frame after frame."""
        raise NotImplementedError

    def _loss(self, batch):
        pred, labels = self.read(batch[0].to(self.device), batch[1].to(self.device))
        return self.criterion(pred, labels)

    def train(self, data_loader):
        if data_loader["train"] is None:
            raise ValueError("No data for train")
        train_losses, valid_losses, lrs = [], [], []
        for epoch in range(self.max_epoch_num):
            print(f"==== Training epoch {epoch} ====")
            self.model.train()
            total = 0.0
            for batch in data_loader["train"]:
                self.optimizer.zero_grad()
                loss = self._loss(batch)
                loss.backward()
                lrs.append(self.scheduler.get_last_lr()[0])
                self.optimizer.step()
                self.scheduler.step()
                total += loss.item()
            train_losses.append(total / len(data_loader["train"]))
            print(f"Mean training loss: {train_losses[-1]}")
            self.save_model(epoch)
            if not self.config.TEST.USE_LAST_EPOCH:
                valid_losses.append(self.valid(data_loader))
                print(f"Validation loss: {valid_losses[-1]}")
                if self.min_valid_loss is None or valid_losses[-1] < self.min_valid_loss:
                    self.min_valid_loss, self.best_epoch = valid_losses[-1], epoch
        if self.config.TRAIN.PLOT_LOSSES_AND_LR:
            self.plot_losses_and_lrs(train_losses, valid_losses, lrs, self.config)

    def valid(self, data_loader):
        if data_loader["valid"] is None:
            raise ValueError("No data for valid")
        self.model.eval()
        with torch.no_grad():
            losses = [self._loss(batch).item() for batch in data_loader["valid"]]
        return sum(losses) / len(losses)

    def test(self, data_loader):
        if data_loader["test"] is None:
            raise ValueError("No data for test")
        path = self._weights()
        print(f"==== Testing with {path} ====")
        self.model.load_state_dict(torch.load(path))
        self.model.eval()
        predictions, labels = {}, {}
        with torch.no_grad():
            for data, label, names, chunks in data_loader["test"]:
                n = len(data)
                pred, true = self.read(data.to(self.device), label.to(self.device))
                pred, true = pred.cpu().reshape(n, -1), true.cpu().reshape(n, -1)
                for i in range(n):
                    predictions.setdefault(names[i], {})[int(chunks[i])] = pred[i]
                    labels.setdefault(names[i], {})[int(chunks[i])] = true[i]
        print()
        calculate_metrics(predictions, labels, self.config)
        if self.config.TEST.OUTPUT_SAVE_DIR:
            self.save_test_outputs(predictions, labels, self.config)

    def _weights(self):
        if self.config.TOOLBOX_MODE == "only_test":
            path = self.config.INFERENCE.MODEL_PATH
            if not os.path.exists(path):
                raise ValueError(f"INFERENCE.MODEL_PATH does not exist: {path!r}")
            return path
        last = self.config.TEST.USE_LAST_EPOCH
        return self._checkpoint(self.max_epoch_num - 1 if last else self.best_epoch)

    def _checkpoint(self, epoch):
        return os.path.join(self.model_dir, f"{self.model_file_name}_Epoch{epoch}.pth")

    def save_model(self, index):
        os.makedirs(self.model_dir, exist_ok=True)
        torch.save(self.model.state_dict(), self._checkpoint(index))
        print(f"Saved {self._checkpoint(index)}")
