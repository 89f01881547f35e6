"""Data in batches: what can be indexed is a `Dataset`, and a `DataLoader` goes through one, in order or shuffled.

The order of a shuffled pass comes from a `Generator`, and so from its seed: a loader with ``Generator().manual_seed(0)`` gives
the same batches in every run, and another order in each pass.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rp.ops.shape import stack
from tinygrad_rp.random import Generator, source_of
from tinygrad_rp.tensor import Tensor, as_tensor, float64, tensor, wrap

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "default_collate", "random_split"]


class Dataset:
    """Samples by their numbers: subclass it, and write ``__getitem__`` and ``__len__``. Any object with both will do."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__()")


class TensorDataset(Dataset):
    """Samples that are the rows of some tensors: number i is ``(tensors[0][i], tensors[1][i], …)``.

    Args:
        tensors: of the same first length.

    Raises:
        AssertionError: the first lengths differ.
        TypeError: one is no tensor, or there are none.
    """

    def __init__(self, *tensors: Tensor) -> None:
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor) or not t.ndim:
                raise TypeError(
                    f"TensorDataset(): argument {i} must be a tensor with dimensions, and is {type(t).__name__}"
                )
        if not tensors:
            raise TypeError("TensorDataset(): there must be at least one tensor")
        if len({len(t) for t in tensors}) > 1:
            raise AssertionError(
                f"TensorDataset(): the first lengths must be equal, and are {[len(t) for t in tensors]}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """Some samples of a dataset.

    Args:
        dataset: what they are taken from.
        indices: their numbers there.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """A dataset cut at random into parts that share no sample.

    Args:
        dataset: what is cut.
        lengths: of the parts; or fractions of the whole that add up to 1, of which what is left over after rounding down goes to
            the first parts, one sample each.
        generator: where the order comes from.

    Raises:
        ValueError: the lengths do not add up, or a fraction lies outside [0, 1].
    """
    n, parts = len(dataset), list(lengths)
    if math.isclose(sum(parts), 1) and sum(parts) <= 1:
        if not all(0 <= share <= 1 for share in parts):
            raise ValueError(f"random_split(): fractions must lie in [0, 1], and are {parts}")
        sizes = [math.floor(n * share) for share in parts]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
        if 0 in sizes:
            warnings.warn(f"random_split(): part {sizes.index(0)} has no samples", UserWarning, stacklevel=2)
    else:
        sizes = [int(size) if size == int(size) else -1 for size in parts]
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise ValueError(f"random_split(): the lengths must add up to that of the dataset, {n}, and are {parts}")
    order = source_of(generator).permutation(n).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples put together: tensors and arrays one on the other, numbers as a tensor, and within dictionaries, tuples and lists
    each part on its own.

    Raises:
        RuntimeError: tensors have different shapes, or lists different lengths.
        TypeError: there is something else in a sample.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, np.ndarray | np.generic):
        return stack([as_tensor(part) for part in batch])
    if isinstance(first, float):
        return tensor(list(batch), dtype=float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        made: Any = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return made if type(first) is dict else _of_kind(first, made, made)
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(
                f"default_collate(): the samples must have the same number of parts, and have {sorted({len(s) for s in batch})}"
            )
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return parts if isinstance(first, tuple) else _of_kind(first, parts, parts)
    raise TypeError(
        "default_collate(): samples must be tensors, arrays, numbers, strings, dicts, lists or tuples, not "
        f"{type(first).__name__}; give a collate_fn that puts them together"
    )


def _of_kind(sample: Any, made: Any, otherwise: Any) -> Any:
    """A container of the sample's own class, where it can be made so."""
    try:
        return type(sample)(made)
    except TypeError:
        return otherwise


def _converted(sample: Any) -> Any:
    """A sample without a batch: its arrays are made tensors."""
    if isinstance(sample, np.ndarray | np.generic):
        return as_tensor(sample)
    if isinstance(sample, Mapping):
        return _of_kind(sample, {key: _converted(part) for key, part in sample.items()}, sample)
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*map(_converted, sample))
    if isinstance(sample, list | tuple):
        return [_converted(part) for part in sample]
    return sample


class DataLoader:
    """Goes through a dataset in batches: ``for batch in loader``.

    Args:
        dataset: what has ``__getitem__`` and ``__len__``.
        batch_size: samples a batch. None: the samples one by one, without a dimension for the batch.
        shuffle: whether each pass has an order of its own, from ``generator``.
        sampler: the numbers of the samples, in the order in which they are to come, instead of ``shuffle``.
        batch_sampler: lists of numbers, one a batch, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
        num_workers: must be 0: batches are made in this process.
        collate_fn: puts a list of samples together. Default: `default_collate`.
        pin_memory: accepted; there is no other device to send it to.
        drop_last: leave out a last batch that is smaller than the others.
        generator: where the order comes from. Default: the default generator, of ``manual_seed``.

    Raises:
        NotImplementedError: ``num_workers`` is positive.
        TypeError: the dataset cannot be indexed, or has no length.
        ValueError: arguments exclude each other, or ``batch_size`` or ``num_workers`` is out of range.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"DataLoader(): num_workers must not be negative, and is {num_workers}")
        if num_workers:
            raise NotImplementedError(
                f"DataLoader(): num_workers must be 0, and is {num_workers}: batches are made in this process. Prepare costly "
                "samples once, as a TensorDataset, whose batches are taken at once"
            )
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"DataLoader(): dataset must have __getitem__() and __len__(), and {type(dataset).__name__} has not"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader(): a sampler says the order, so that shuffle cannot be asked for")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader(): a batch_sampler says what is in a batch: leave out batch_size, shuffle, sampler and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader(): drop_last leaves out a small batch, and batch_size=None makes none")
        elif batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0
        ):
            raise ValueError(f"DataLoader(): batch_size must be a positive integer or None, not {batch_size!r}")
        source_of(generator)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = (
            dataset,
            batch_size,
            bool(shuffle),
            bool(drop_last),
        )
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.pin_memory = num_workers, pin_memory
        one_by_one = batch_size is None and batch_sampler is None
        self.collate_fn: Any = collate_fn or (_converted if one_by_one else default_collate)

    def __len__(self) -> int:
        """How many batches there are in a pass.

        Raises:
            TypeError: a sampler has no length.
        """
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _order(self) -> Iterable[int]:
        if self.sampler is not None:
            return self.sampler
        n = len(self.dataset)
        return source_of(self.generator).permutation(n).tolist() if self.shuffle else range(n)

    def _batches(self) -> Iterator[Sequence[int]]:
        """The numbers of the samples, a list a batch."""
        if self.batch_sampler is not None:
            yield from self.batch_sampler
            return
        order = iter(self._order())
        while batch := list(itertools.islice(order, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __iter__(self) -> Iterator[Any]:
        if self.batch_size is None and self.batch_sampler is None:
            return (self.collate_fn(self.dataset[i]) for i in self._order())
        return map(self._batch, self._batches())

    def _batch(self, numbers: Sequence[int]) -> Any:
        if type(self.dataset) is TensorDataset and self.collate_fn is default_collate:
            rows = np.asarray(numbers)
            if rows.dtype.kind == "i":  # at once, what indexing one by one and stacking would give
                return [t[wrap(rows)] for t in self.dataset.tensors]
        return self.collate_fn([self.dataset[i] for i in numbers])
