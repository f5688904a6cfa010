"""A model that computes in float32 while its weights stay as they lie on disk, in half the bytes and half the memory.

Each block of layers gets float32 copies of its weights just before it computes, and loses them right after. So the
logits of a model of 7 billion parameters, adapters on, cost the memory of one block and of the output matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cxr_lightning.export.pages import Pages

Reading = Callable[[str, Tensor], Tensor]
"""From a parameter's name and its stored values to the values to compute with."""


def as_stored(name: str, tensor: Tensor) -> Tensor:
    """Reads a parameter as it is."""
    return tensor


@contextmanager
def in_float32(model: Any, read: Reading = as_stored, pages: Pages | None = None) -> Iterator[None]:
    """Has a model compute in float32.

    Args:
        model: The model; its parameters are as before afterwards.
        read: What the parameters shall be meanwhile.
        pages: Where memory of files is given back.
    """
    lend = _Lending({id(each): name for name, each in model.named_parameters()}, read, pages)
    table, parts = model.get_input_embeddings(), _parts(model)
    apart = {id(each) for part in parts for each in part.parameters()} | {id(each) for each in table.parameters()}
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(_around(part, _Lender(list(part.parameters()), lend)))
        stack.enter_context(_looked_up(table, lend))
        rest = _Lender([each for each in model.parameters() if id(each) not in apart], lend)
        rest.lend()
        stack.callback(rest.take_back)
        yield


@contextmanager
def lent(module: nn.Module, names: dict[int, str], read: Reading, pages: Pages | None = None) -> Iterator[None]:
    """Gives one module float32 values for its weights.

    Args:
        module: The module.
        names: The name of each parameter by its `id`.
        read: What the parameters shall be meanwhile.
        pages: Where memory of files is given back.
    """
    lender = _Lender(list(module.parameters()), _Lending(names, read, pages))
    lender.lend()
    try:
        yield
    finally:
        lender.take_back()


@contextmanager
def giving_back(model: Any, pages: Pages) -> Iterator[None]:
    """Has a model give back the memory of each block's weights as soon as the block has computed."""

    def give_back(module: nn.Module, inputs: object, outputs: object) -> None:
        for parameter in module.parameters():
            pages.give_back(parameter)

    hooks = [part.register_forward_hook(give_back) for part in _parts(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """Has adapted layers compute without their adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


class _Buffers:
    """Memory for copies, used again: blocks are alike, and new memory costs more than filling it."""

    def __init__(self) -> None:
        self._free: dict[torch.Size, list[Tensor]] = {}

    def copy(self, tensor: Tensor) -> Tensor:
        free = self._free.get(tensor.shape)
        return free.pop().copy_(tensor) if free else tensor.to(torch.float32)

    def free(self, copy: Tensor) -> None:
        self._free.setdefault(copy.shape, []).append(copy)


@dataclass(frozen=True)
class _Lending:
    """How parameters are read, and where copies of them come from."""

    names: dict[int, str]
    read: Reading
    pages: Pages | None
    buffers: _Buffers = field(default_factory=_Buffers)


class _Lender:
    """Gives parameters other values for a while."""

    def __init__(self, parameters: list[nn.Parameter], how: _Lending) -> None:
        self._parameters, self._how = parameters, how
        self._stored: list[Tensor] = []
        self._copies: list[Tensor] = []

    def lend(self) -> None:
        if self._stored:  # called within itself
            return
        self._stored = [parameter.data for parameter in self._parameters]
        for parameter, stored in zip(self._parameters, self._stored, strict=True):
            value = self._how.read(self._how.names[id(parameter)], stored)
            if value.is_floating_point() and value.dtype != torch.float32:
                value = self._how.buffers.copy(value)
                self._copies.append(value)
            parameter.data = value

    def take_back(self) -> None:
        for parameter, stored in zip(self._parameters, self._stored, strict=bool(self._stored)):
            parameter.data = stored
            if self._how.pages is not None:
                self._how.pages.give_back(stored)
        for copy in self._copies:
            self._how.buffers.free(copy)
        self._stored, self._copies = [], []


@contextmanager
def _looked_up(table: Any, how: _Lending) -> Iterator[None]:
    """Has a table of embeddings be those rows alone that are looked up: it is as wide as a block, and mostly unused."""
    stored, name, padding = table.weight, how.names[id(table.weight)], table.padding_idx
    table.padding_idx = None  # it is of the whole table, and matters to gradients alone

    def narrow(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        used, places = torch.unique(inputs[0], return_inverse=True)
        rows = how.read(name, stored.data[used]).float()
        module.weight = nn.Parameter(rows, requires_grad=False)
        return (places, *inputs[1:])

    def widen(module: nn.Module, inputs: object, outputs: object) -> None:
        module.weight = stored

    hooks = [table.register_forward_pre_hook(narrow), table.register_forward_hook(widen, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        table.weight, table.padding_idx = stored, padding


@contextmanager
def _around(module: nn.Module, lender: _Lender) -> Iterator[None]:
    before = module.register_forward_pre_hook(lambda module, inputs: lender.lend())
    after = module.register_forward_hook(lambda module, inputs, outputs: lender.take_back(), always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()
        lender.take_back()


def _parts(model: Any) -> list[nn.Module]:
    """Returns what holds most weights and computes one after another: the layers that are repeated, and the head."""
    lists = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    blocks = [block for name in outermost for block in model.get_submodule(name).children()]
    head = model.get_output_embeddings()
    return blocks if head is None else [*blocks, head]
