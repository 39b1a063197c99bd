"""Settings of the embedding networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from exobench.errors import ExobenchError, unknown_name

Kind = Literal["residual_mlp", "residual_cnn", "transformer"]
N_HEAD = 8


@dataclass(frozen=True)
class EmbeddingSettings:
    """How spectra become context vectors.

    Attributes:
        kind: "residual_mlp", "residual_cnn" (along wavelength) or "transformer" (over patches of bins).
        size: width of the hidden layers; channels of the CNN's last stage; width of the transformer's tokens. At 515
            bins one CPU thread trains about 10,000 spectra a second with an MLP of 256, 3,000 with a CNN of 64 and 700
            with a transformer of 64: the default suits the MLP, or a GPU.
        blocks: residual blocks.
        n_context: length of the context vector.
        dropout: share of hidden numbers set to zero in training.
        n_component: whitened principal components given beside the spectrum, 0 for none; fewer where the examples
            have fewer.
    """

    kind: Kind = "residual_mlp"
    size: int = 256
    blocks: int = 4
    n_context: int = 128
    dropout: float = 0.0
    n_component: int = 64

    @classmethod
    def of(cls, mapping: Mapping[str, Any] | None, key: str = "method.embedding") -> EmbeddingSettings:
        """Settings from names and values; those not named keep their defaults.

        Raises:
            ExobenchError: a name that does not exist or a value that cannot be used.
        """
        known = [field.name for field in fields(cls)]
        for name in mapping or {}:
            if name not in known:
                raise unknown_name(f"setting of {key} called", str(name), known)
        settings = cls(**(mapping or {}))
        settings.check(key)
        return settings

    def check(self, key: str = "method.embedding") -> None:
        """Refuses values that no network can have.

        Raises:
            ExobenchError: naming ``key.name=value`` and what is right.
        """
        if self.kind not in get_args(Kind):
            raise ExobenchError(f"{key}.kind={self.kind} must be one of {', '.join(get_args(Kind))}.")
        for name, low in (("size", 8), ("blocks", 1), ("n_context", 1), ("n_component", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ExobenchError(f"{key}.{name}={value} must be a whole number of at least {low}.")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ExobenchError(f"{key}.dropout={self.dropout} must be a number from 0 to below 1.")
        if self.kind == "transformer" and self.size % N_HEAD:
            raise ExobenchError(f"{key}.size={self.size} must be a multiple of {N_HEAD} for a transformer.")
