"""A face detector that nothing here uses; only its import matters: it needs thop."""

import thop


class YoloFace:
    def __init__(self, backend, device=None):
        self.profile, self.device = thop.profile, device
