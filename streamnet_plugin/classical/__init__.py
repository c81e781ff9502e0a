"""The classical methods: each a function of the mean RGB of the face, each a named method.

Functions map (rgb (T, 3), fs in Hz) to a BVP (T,) that rises in systole: blood absorbs green light,
so it goes against the green trace. They raise `NoResultError` rather than return NaN or a constant.

The plain names are numerically what rPPG-Toolbox (commit d807b01) computes, apart from that
polarity and CHROM's length (`Prediction` tells the harness of both, so that it scores what the
toolbox scores). ICA's sign is open in both. Where the toolbox
departs from the paper, the name with ":paper" follows the paper.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from streamnet_plugin.classical.chrom import chrom, chrom_paper, covered_frames
from streamnet_plugin.classical.green import green
from streamnet_plugin.classical.ica import ica, ica_paper
from streamnet_plugin.classical.lgi import lgi
from streamnet_plugin.classical.method import ClassicalMethod
from streamnet_plugin.classical.omit import omit, omit_paper
from streamnet_plugin.classical.pbv import pbv, pbv_paper
from streamnet_plugin.classical.pos import pos, pos_paper

# The toolbox's loaders hand their frames out in float32.
_FOLLOWS_TOOLBOX = partial(ClassicalMethod, precision=np.float32)

GREEN = _FOLLOWS_TOOLBOX("GREEN", green, "Verkruysse et al. 2008", inverted=True)
ICA = _FOLLOWS_TOOLBOX("ICA", ica, "Poh et al. 2010")
CHROM = _FOLLOWS_TOOLBOX("CHROM", chrom, "de Haan & Jeanne 2013", covered=covered_frames)
LGI = _FOLLOWS_TOOLBOX("LGI", lgi, "Pilz et al. 2018", inverted=True)
PBV = _FOLLOWS_TOOLBOX("PBV", pbv, "de Haan & van Leest 2014", inverted=True)
POS = _FOLLOWS_TOOLBOX("POS", pos, "Wang et al. 2017", inverted=True)
OMIT = _FOLLOWS_TOOLBOX("OMIT", omit, "Alvarez Casado & Bordallo Lopez 2023", inverted=True)
ICA_PAPER = ClassicalMethod("ICA:paper", ica_paper, ICA.source)
CHROM_PAPER = ClassicalMethod("CHROM:paper", chrom_paper, CHROM.source)
PBV_PAPER = ClassicalMethod("PBV:paper", pbv_paper, PBV.source)
POS_PAPER = ClassicalMethod("POS:paper", pos_paper, POS.source)
OMIT_PAPER = ClassicalMethod("OMIT:paper", omit_paper, OMIT.source)

METHODS = {
    method.name: method
    for method in (
        GREEN,
        ICA,
        CHROM,
        LGI,
        PBV,
        POS,
        OMIT,
        ICA_PAPER,
        CHROM_PAPER,
        PBV_PAPER,
        POS_PAPER,
        OMIT_PAPER,
    )
}

__all__ = [
    "CHROM",
    "CHROM_PAPER",
    "GREEN",
    "ICA",
    "ICA_PAPER",
    "LGI",
    "METHODS",
    "OMIT",
    "OMIT_PAPER",
    "PBV",
    "PBV_PAPER",
    "POS",
    "POS_PAPER",
    "ClassicalMethod",
    "chrom",
    "chrom_paper",
    "green",
    "ica",
    "ica_paper",
    "lgi",
    "omit",
    "omit_paper",
    "pbv",
    "pbv_paper",
    "pos",
    "pos_paper",
]
