"""Layers that multiply by a table of weights, or look up its rows."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.engine import no_grad
from tinygrad_rp.nn import functional, init
from tinygrad_rp.nn.module import Module, Parameter, new_parameter
from tinygrad_rp.tensor import Tensor

__all__ = ["Embedding", "Identity", "Linear"]


class Identity(Module):
    """Hands on its input. It takes, and ignores, any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """``input @ weight.T + bias``.

    Both begin uniform, up to ``1 / √in_features`` either way.

    Args:
        in_features: the last length of the input.
        out_features: the last length of the output.
        bias: whether there is one.
        device: must be ``"cpu"``.
        dtype: of the parameters. Default: the default dtype.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = new_parameter((out_features, in_features), device, dtype)
        self.register_parameter("bias", new_parameter((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.begin(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """The rows of a table at given indices. It begins with standard normal numbers.

    Args:
        num_embeddings: how many rows the table has.
        embedding_dim: how long they are.
        padding_idx: a row that begins as zeros, and to which no gradient goes; a negative one is counted from the end.
        max_norm: not supported, nor are ``scale_grad_by_freq`` and ``sparse``.
        norm_type: of ``max_norm``.
        device: must be ``"cpu"``.
        dtype: of the table. Default: the default dtype.

    Raises:
        AssertionError: ``padding_idx`` is none of the rows.
        NotImplementedError: an argument is not supported.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise NotImplementedError(
                "Embedding(): max_norm (it changes weight in place), scale_grad_by_freq and sparse are not supported"
            )
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"Embedding(): padding_idx must be one of the {num_embeddings} rows, and is {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.norm_type = norm_type
        if _weight is None:
            self.weight = new_parameter((num_embeddings, embedding_dim), device, dtype)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            if _weight.shape != (num_embeddings, embedding_dim):
                raise AssertionError(
                    f"Embedding(): the table must have shape {[num_embeddings, embedding_dim]}, and has {list(_weight.shape)}"
                )
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """A layer whose table is this tensor, and shares its memory.

        Args:
            embeddings: of shape (rows, columns).
            freeze: whether the table stays as it is, and requires no gradient.
            padding_idx: see the class.
            options: further arguments of the class.

        Raises:
            AssertionError: it has not two dimensions.
        """
        if embeddings.ndim != 2:
            raise AssertionError(
                f"Embedding.from_pretrained(): embeddings must have two dimensions, and have shape {list(embeddings.shape)}"
            )
        rows, columns = embeddings.shape
        return cls(rows, columns, padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        norm = "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{norm}"
