"""One training step on tensors without content: what it allocates, by purpose, at its worst moment."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cxr_lightning.cluster.planning.example import Row
from cxr_lightning.cluster.planning.gathering import DEEPSPEED, Gathered, Limits, Use, gather
from cxr_lightning.cluster.planning.kernels import stand_ins
from cxr_lightning.cluster.planning.ledger import Book, Ledger
from cxr_lightning.cluster.planning.outline import Outline
from cxr_lightning.cluster.planning.sharing import Exchange, Sharing
from cxr_lightning.model.decoder import output_head
from cxr_lightning.objectives.next_token import next_token

Loss = Callable[[Any, Any, Tensor], Tensor]
"""From model, inputs and targets to the sum of the losses."""


@dataclass(frozen=True)
class Traced:
    """What a step allocates beside what is held all the time.

    Attributes:
        compute: Bytes by purpose at the worst moment of forward and backward pass, gathered weights included.
        update: And of the optimizer's step after them.
        logits: Most bytes that the loss took for logits and their gradients.
        gathered: Weights gathered under ZeRO-3 in a forward and backward pass, in numbers.
    """

    compute: Counter[str]
    update: Counter[str]
    logits: int
    gathered: int = 0

    @property
    def worst(self) -> Counter[str]:
        """Bytes by purpose at the worst moment of all."""
        return max(self.compute, self.update, key=lambda parts: sum(parts.values()))


def our_loss(model: Any, inputs: Any, targets_RL: Tensor) -> Tensor:
    """Returns the loss that training computes."""
    return next_token(model, inputs, targets_RL).sum


def trace(
    outline: Outline, row: Row, sharings: Sequence[Sharing], loss: Loss = our_loss, limits: Limits = DEEPSPEED
) -> list[Traced]:
    """Runs a forward pass, a backward pass and an optimizer's step on a row.

    Args:
        outline: The model.
        row: The micro-batch.
        sharings: Ways to share what ranks hold, all of them with divided weights or none; followed at once.
        loss: Another program's, to be compared with its figures.
        limits: DeepSpeed's settings for gathering.

    Returns:
        What each way came to.
    """
    model, ledger = outline.model, Ledger()
    divided = {sharing.divided for sharing in sharings}
    assert len(divided) == 1, "weights are divided in some ways and whole in others"
    ledger.ignore([*model.parameters(), *model.buffers(), *_floats(row.inputs)])
    books = [Book(ledger) for _ in sharings]
    exchanges = [Exchange(sharing, outline.sizes, book) for sharing, book in zip(sharings, books, strict=True)]
    order: list[nn.Module] = []
    with ledger, stand_ins(divided=divided.pop()), _noting(model, ledger, order), _listening(model, exchanges):
        ledger.enter("activations", sum(each.untyped_storage().nbytes() for each in _floats(row.inputs)))
        _each(exchanges, Exchange.begin)
        total = loss(model, row.inputs, row.targets_RL)
        forward = list(order)
        ledger.purpose = "working"
        total.backward()  # type: ignore[no-untyped-call]
        del total
        _each(exchanges, Exchange.end)
        compute = [book.worst() for book in books]
        _each(exchanges, Exchange.update)
        update = [book.worst() for book in books]
    gathered = _gathered(model, forward, limits) if sharings[0].divided else Gathered(0, 0)
    found = []
    for sharing, one, other in zip(sharings, compute, update, strict=True):
        alone = sharing.ranks == 1 or not sharing.divided
        found.append(Traced(one, other, ledger.most["logits"], 0 if alone else gathered.sent))
        one["gathered"] = 0 if alone else gathered.most * sharing.number
    return found


def _each(exchanges: Sequence[Exchange], follow: Callable[[Exchange], None]) -> None:
    for exchange in exchanges:
        follow(exchange)


def _floats(inputs: dict[str, Any]) -> list[Tensor]:
    return [each for each in inputs.values() if isinstance(each, Tensor) and each.is_meta]


@contextmanager
def _listening(model: Any, exchanges: Sequence[Exchange]) -> Iterator[None]:
    """Tells of each gradient when it is there; what becomes of it is booked and not kept."""

    def arrived(parameter: Any) -> None:
        parameter.grad = None
        for exchange in exchanges:
            exchange.arrived(parameter.numel())

    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hooks = [each.register_post_accumulate_grad_hook(arrived) for each in learning]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _noting(model: Any, ledger: Ledger, order: list[nn.Module]) -> Iterator[None]:
    """Enters what the output matrix makes as logits, and notes in which order layers with weights run."""

    def before(*_: Any) -> None:
        ledger.purpose = "logits"

    def after(*_: Any) -> None:
        ledger.purpose = "activations"

    head = output_head(model)
    hooks = [head.register_forward_pre_hook(before), head.register_forward_hook(after)]
    for module in model.modules():
        if next(module.parameters(recurse=False), None) is not None:
            hooks.append(module.register_forward_pre_hook(lambda module, _: order.append(module)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _gathered(model: nn.Module, forward: list[nn.Module], limits: Limits) -> Gathered:
    """Follows the gathering over the layers' order: forward, and back through those that a gradient reaches."""
    numbers = {id(parameter): number for number, parameter in enumerate(model.parameters())}
    names = {module: name for name, module in model.named_modules()}
    blocks = [name for name, module in model.named_modules() if getattr(module, "gradient_checkpointing", False)]

    def use(module: nn.Module) -> Use:
        return tuple(numbers[id(each)] for each in module.parameters(recurse=False))

    def block(module: nn.Module) -> str:
        return next((name for name in blocks if names[module].startswith(f"{name}.")), "")

    reached = list(itertools.dropwhile(_is_frozen, forward))
    back: list[Use] = []
    for name, group in itertools.groupby(reversed(reached), block):
        modules = list(group)
        if name:  # computed again first
            back += [use(module) for module in reversed(modules)]
        back += [use(module) for module in modules]
    return gather([*map(use, forward), *back], [parameter.numel() for parameter in model.parameters()], limits)


def _is_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters(recurse=False))
