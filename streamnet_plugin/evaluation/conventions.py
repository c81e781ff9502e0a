"""Named conventions: two tables are comparable only within one."""

from __future__ import annotations

from dataclasses import dataclass

from streamnet_plugin.errors import ConfigError


@dataclass(frozen=True)
class Convention:
    """The HR band, Hz, of the filter, the spectral peak and the SNR."""

    name: str
    low_hz: float
    high_hz: float
    source: str

    @property
    def band(self) -> tuple[float, float]:
        return self.low_hz, self.high_hz

    @property
    def hr_range(self) -> tuple[float, float]:
        """The band in bpm, beyond which no HR is sought."""
        return 60 * self.low_hz, 60 * self.high_hz

    def __str__(self) -> str:
        return f"{self.name} ({self.low_hz:g}-{self.high_hz:g} Hz)"


CONVENTIONS = {
    c.name: c
    for c in (
        Convention("toolbox-2025", 0.6, 3.3, "rPPG-Toolbox since commit 09945e1 (2025-03)"),
        Convention("neurips-2023", 0.75, 2.5, "rPPG-Toolbox paper (NeurIPS 2023), Table 2"),
    )
}


def get_convention(name: str) -> Convention:
    """The convention of that name; `ConfigError` lists the known ones."""
    if name not in CONVENTIONS:
        raise ConfigError(
            f"no convention is named {name!r}", remedy="use one of " + ", ".join(CONVENTIONS) + "."
        )
    return CONVENTIONS[name]
