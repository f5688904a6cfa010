"""What a computation on tensors without content would allocate, moment by moment.

The real code runs, forward and backward, on tensors of the device `meta`: they have shapes and no memory. Each storage
that such an operation makes is entered when it is made and struck out when the last reference to it is gone, as an
allocator would see it. So nothing has to be known of a model: what autograd keeps, what is computed again under
checkpointing and what a kernel leaves behind follow from running it.

Whole numbers (token ids, positions, grids) stay real and on the CPU, for shapes depend on what they say.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

_META = torch.device("meta")
_WHOLE = (torch.bool, torch.int32, torch.int64)
_aten: Any = torch.ops.aten


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors without content that are alive, by the purpose they were made for.

    Attributes:
        purpose: What is allocated now is entered under this.
        now: Bytes alive by purpose.
        total: Bytes alive.
        most: Most bytes that were alive of each purpose.
        books: What is kept beside.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.purpose = "activations"
        self.now: Counter[str] = Counter()
        self.total = 0
        self.most: Counter[str] = Counter()
        self.books: list[Book] = []
        self._known: dict[int, Any] = {}

    def enter(self, purpose: str, size: int) -> None:
        """Enters bytes that no operation makes here; less than none strikes them out."""
        self.now[purpose] += size
        self.total += size
        if size > 0:
            self.most[purpose] = max(self.most[purpose], self.now[purpose])
            for book in self.books:
                book.look()

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Takes what is there from the beginning (weights) for known, so that it is counted elsewhere."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._known[id(storage)] = weakref.ref(storage)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and enters what it made."""
        kwargs = _numbers_stay(func, args, dict(kwargs or {}))
        try:
            made = func(*args, **kwargs)
        except (RuntimeError, NotImplementedError) as error:
            if "device" not in str(error) and "meta" not in str(error):
                raise
            args, kwargs = tree_map(_emptied, (args, kwargs))  # a number met a tensor without content
            made = func(*args, **kwargs)
        for each in tree_flatten(made)[0]:
            if isinstance(each, Tensor) and each.device == _META:
                self._made(each)
        return made

    def _made(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, known = id(storage), self._known.get(id(storage))
        if known is not None and known() is storage:
            return
        purpose, size = self.purpose, int(storage.nbytes())

        def gone(_: Any) -> None:
            self._known.pop(key, None)
            self.enter(purpose, -size)

        self._known[key] = weakref.ref(storage, gone)
        self.enter(purpose, size)


class Book:
    """What comes and goes beside a ledger's tensors, such as communication buffers; several may be kept at once.

    Args:
        ledger: With which it counts together.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._now, self._total = ledger, Counter[str](), 0
        self._most, self._at_most = 0, Counter[str]()
        ledger.books.append(self)

    def enter(self, purpose: str, size: int) -> None:
        """Enters bytes; less than none strikes them out."""
        self._now[purpose] += size
        self._total += size
        self.look()

    @contextmanager
    def for_a_moment(self, purpose: str, size: int) -> Iterator[None]:
        """Enters bytes for as long as the context lasts."""
        self.enter(purpose, size)
        try:
            yield
        finally:
            self.enter(purpose, -size)

    def look(self) -> None:
        """Remembers this moment if it is the worst so far."""
        together = self._ledger.total + self._total
        if together > self._most:
            self._most, self._at_most = together, self._ledger.now + self._now

    def worst(self) -> Counter[str]:
        """Returns the bytes by purpose when most were alive since this was asked before, and begins anew."""
        found = +self._at_most
        self._most, self._at_most = 0, Counter()
        self.look()
        return found


def _numbers_stay(func: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keeps whole numbers on the CPU where a model would send them to its own device."""
    device = kwargs.get("device")
    if device is None or torch.device(device) != _META:
        return kwargs
    if func is _aten._to_copy.default and args[0].device.type == "cpu" and not args[0].is_floating_point():
        return {**kwargs, "device": torch.device("cpu")}
    if func in (_aten.ones.default, _aten.zeros.default) and kwargs.get("dtype") in _WHOLE:
        return {**kwargs, "device": torch.device("cpu")}
    if func in (_aten.arange.default, _aten.arange.start, _aten.arange.start_step):
        dtype = kwargs.get("dtype")
        whole = not any(isinstance(each, float) for each in args) if dtype is None else not dtype.is_floating_point
        return {**kwargs, "device": torch.device("cpu")} if whole else kwargs
    return kwargs


def _emptied(value: Any) -> Any:
    return torch.empty_like(value, device=_META) if isinstance(value, Tensor) and value.device != _META else value
