import dataset.data_loader.BaseLoader
import dataset.data_loader.PURELoader
import dataset.data_loader.UBFCrPPGLoader
