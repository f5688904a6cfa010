"""A model that computes in float32 while its weights stay as they lie on disk, in half the bytes and half the memory.

Each block of layers gets float32 copies of its weights just before it computes, and loses them right after. So the
logits of a model of 7 billion parameters, adapters on, cost the memory of its embeddings and of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    lenders = [_Lender(block, names, read, pages) for block in _blocks(model)]
    if head is not None:
        lenders.append(_Lender(head, names, read, pages))
    apart = {id(each) for lender in lenders for each in lender.parameters} | {id(each) for each in table.parameters()}
    rest = _Lender(model, names, read, pages, without=apart)
    with ExitStack() as stack:
        for lender in lenders:
            stack.enter_context(_called(lender))
        # Rows are looked up before they are made float32: the table is as wide as a block, and most of it is not used.
        hook = table.register_forward_hook(lambda module, inputs, rows: rows.float())
        stack.callback(hook.remove)
        rest.lend()
        stack.callback(rest.take_back)
        yield


@contextmanager
def _called(lender: _Lender) -> Iterator[None]:
    before = lender.module.register_forward_pre_hook(lambda module, inputs: lender.lend())
    after = lender.module.register_forward_hook(lambda module, inputs, outputs: lender.take_back(), always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()
        lender.take_back()


class _Lender:
    """Gives the parameters of a module other values for a while."""

    def __init__(
        self,
        module: nn.Module,
        names: dict[int, str],
        read: Reading,
        pages: Pages | None,
        *,
        without: set[int] | None = None,
    ) -> None:
        self.module, self._names, self._read, self._pages = module, names, read, pages
        self.parameters = [each for each in module.parameters() if without is None or id(each) not in without]
        self._stored: list[Tensor] = []

    def lend(self) -> None:
        if self._stored:  # called again within itself
            return
        self._stored = [parameter.data for parameter in self.parameters]
        for parameter, stored in zip(self.parameters, self._stored, strict=True):
            read = self._read(self._names[id(parameter)], stored)
            parameter.data = read.float() if read.is_floating_point() else read

    def take_back(self) -> None:
        for parameter, stored in zip(self.parameters, self._stored, strict=bool(self._stored)):
            parameter.data = stored
            if self._pages is not None:
                self._pages.give_back(stored)
        self._stored = []


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yields the layers that are repeated: the members of lists of modules, but not what is repeated within them."""
    lists = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    for name in outermost:
        yield from model.get_submodule(name).children()


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


def float_pixels(inputs: dict[str, Any]) -> dict[str, Any]:
    """Returns a model's inputs with images in float32, whatever the weights are stored as."""
    return {
        name: each.float() if isinstance(each, Tensor) and torch.is_floating_point(each) else each
        for name, each in inputs.items()
    }
