"""Lessons enter, a small SigLIP vision tower leaves, in a folder that transformers loads like any other tower.

A vision transformer learns slowly from scratch, for it knows neither what a neighbour is nor what an edge is. Three
things make minutes on one core enough: every patch is told which findings it shows (not only every study); the patch
embedding starts as the whitened principal components of patches, the positions as sines and cosines; and what is taught
is the very hidden state that Llava reads, through one matrix, so that a linear projector can carry it on.
"""

# Shapes: N lessons, B batch, C channels, S image side, P patches, G patches a side, D width,
# K kinds of findings.

from __future__ import annotations

import logging
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

from cxr_lightning.demo.lessons import Lesson, patch_labels, read_lessons, read_pictures, study_labels
from cxr_lightning.demo.schedule import Shuffle, make_adamw, progress_bar, tell, warm_cosine
from cxr_lightning.findings.located import LABELS
from cxr_lightning.shards.splits import Fractions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TowerRecipe:
    """Size and training of the tower.

    Attributes:
        width: Width D. A linear projector fits vLLM's form while 2 D is at most the language model's width.
        layers: Transformer layers.
        heads: Attention heads.
        side: Image side in pixels.
        patch: Patch side in pixels; (side / patch)^2 tokens an image.
        steps: Training steps.
        batch: Pictures a step.
        lr: Highest learning rate.
        weight_decay: Decay of matrices.
        shift: Pictures are moved by up to this many pixels.
        feature_scale: Deviation of the hidden state that leaves the tower.
    """

    width: int = 64
    layers: int = 6
    heads: int = 4
    side: int = 128
    patch: int = 16
    steps: int = 4000
    batch: int = 16
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    shift: int = 4
    feature_scale: float = 0.5

    @property
    def grid(self) -> int:
        """Patches a row and a column."""
        return self.side // self.patch


class PatchTeacher(nn.Module):
    """Reads findings off the last hidden state: one matrix says what each patch shows, its peaks what the study shows.

    Only the tower is kept; this goes. Study and patches share the matrix, so what decides about the study is in the
    patches' features, where the language model will look for it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Linear(width, len(LABELS))
        nn.init.constant_(self.patches.bias, -2.0)  # findings cover a twentieth of all patches
        self.gain_K = nn.Parameter(torch.ones(len(LABELS)))
        self.bias_K = nn.Parameter(torch.zeros(len(LABELS)))

    def forward(self, features_BPD: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits of patches (B, P, K) and of studies (B, K)."""
        logits_BPK: Tensor = self.patches(features_BPD)
        peaks_BK = ((2.0 * logits_BPK).softmax(dim=1) * logits_BPK).sum(dim=1)
        return logits_BPK, peaks_BK * self.gain_K + self.bias_K


def prepare_tower(
    archive: Path,
    out: Path,
    *,
    seed: int = 0,
    recipe: TowerRecipe | None = None,
    split: Fractions = Fractions(),  # noqa: B008  (frozen)
) -> dict[str, float]:
    """Trains a SigLIP vision tower on phantoms and writes it as a Hugging Face folder.

    Args:
        archive: Folder that `cxr phantoms` wrote; boxes and labels are used.
        out: Folder to write; replaced if it is there.
        seed: Seeds weights, order and augmentation.
        recipe: Size and training; None takes the demo's.
        split: The shares by which `cxr pack` splits the same archive; only train patients are used.

    Returns:
        Loss of the last steps and findings micro-F1 of the study labels on the last twentieth of the archive, which was
        kept out of training.

    Raises:
        LessonError: If the archive is not one of phantoms.
    """
    recipe = recipe or TowerRecipe()
    torch.manual_seed(seed)
    lessons = read_lessons(archive, split)
    pictures_NSS = read_pictures(lessons, recipe.side)
    kept = max(1, len(lessons) // 20)
    tower, teacher = _fresh_tower(recipe, pictures_NSS), PatchTeacher(recipe.width)
    with progress_bar() as bar:
        loss = _train(tower, teacher, lessons[:-kept], pictures_NSS[:-kept], recipe, seed, bar)
    f1 = study_f1(tower, teacher, pictures_NSS[-kept:], study_labels(lessons[-kept:]))
    rescale_stream(tower, recipe.feature_scale, to_pixels(pictures_NSS[:64]))
    _save(tower, recipe, out)
    log.info("Tower: %d steps, loss %.3f, findings micro-F1 %.3f on %d studies kept out", recipe.steps, loss, f1, kept)
    return {"loss": loss, "findings_micro_f1": f1}


def _fresh_tower(recipe: TowerRecipe, pictures_NSS: NDArray[np.uint8]) -> SiglipVisionModel:
    tower = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=recipe.width,
            intermediate_size=4 * recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            image_size=recipe.side,
            patch_size=recipe.patch,
            vision_use_head=False,
        )
    )
    weight_DCPP, bias_D = whitened_patches(pictures_NSS[:1000], recipe.patch, recipe.width)
    with torch.no_grad():
        tower.embeddings.patch_embedding.weight.copy_(weight_DCPP)
        tower.embeddings.patch_embedding.bias.copy_(bias_D)
        tower.embeddings.position_embedding.weight.copy_(0.7 * waves(recipe.grid, recipe.width))
    return tower


def whitened_patches(pictures_NSS: NDArray[np.uint8], patch: int, width: int) -> tuple[Tensor, Tensor]:
    """Returns a patch embedding whose outputs are a patch's principal components at like size.

    Args:
        pictures_NSS: Pictures to take patches from.
        patch: Patch side in pixels.
        width: Components D wanted; beyond patch^2 the rest is zero.

    Returns:
        Weight of shape (D, 3, patch, patch) for gray pictures in three equal channels, and bias of shape (D,).
    """
    pixels_N1SS = torch.from_numpy(pictures_NSS)[:, None].float() / 127.5 - 1.0
    patches_XQ = F.unfold(pixels_N1SS, patch, stride=patch).transpose(1, 2).reshape(-1, patch * patch)
    mean_Q = patches_XQ.mean(dim=0)
    centred_XQ = patches_XQ - mean_Q
    variance_Q, axes_QQ = torch.linalg.eigh(centred_XQ.T @ centred_XQ / len(centred_XQ))
    count = min(width, patch * patch)
    floor = 0.02 * variance_Q[-count:].mean()  # the last components are noise; they must not be blown up to full size
    matrix_DQ = torch.zeros(width, patch * patch)
    matrix_DQ[:count] = 0.7 * (axes_QQ[:, -count:] / (variance_Q[-count:] + floor).sqrt()).T.flip(0)
    weight_DCPP = (matrix_DQ / 3.0).reshape(width, 1, patch, patch).expand(-1, 3, -1, -1)
    return weight_DCPP, -(matrix_DQ @ mean_Q)


def waves(grid: int, width: int) -> Tensor:
    """Returns sine and cosine positions of a square grid, of shape (grid^2, width); `width` is a multiple of 4."""
    pitch_F = 100.0 ** (-torch.arange(width // 4) / max(1, width // 4 - 1))
    angle_GF = torch.arange(grid).float()[:, None] * pitch_F
    wave_GE = torch.cat([angle_GF.sin(), angle_GF.cos()], dim=1)
    down_GGE, across_GGE = wave_GE[:, None].expand(-1, grid, -1), wave_GE[None].expand(grid, -1, -1)
    return torch.cat([down_GGE, across_GGE], dim=-1).reshape(grid * grid, width)


def last_hidden(tower: SiglipVisionModel, pixels_BSS: Tensor) -> Tensor:
    """Returns the hidden state that Llava's layer -1 is, of shape (B, P, D): before the tower's closing LayerNorm."""
    pixels_BCSS = pixels_BSS[:, None].expand(-1, 3, -1, -1)
    states: Tensor = tower(pixel_values=pixels_BCSS, output_hidden_states=True).hidden_states[-1]
    return states


def to_pixels(pictures_BSS: NDArray[np.uint8]) -> Tensor:
    """Returns pictures as the image processor would: mean and deviation one half, so from -1 to 1."""
    return torch.from_numpy(pictures_BSS).float() / 127.5 - 1.0


def _train(
    tower: SiglipVisionModel,
    teacher: PatchTeacher,
    lessons: list[Lesson],
    pictures_NSS: NDArray[np.uint8],
    recipe: TowerRecipe,
    seed: int,
    bar: Progress,
) -> float:
    rng = np.random.default_rng(seed)
    labels_NK = torch.from_numpy(study_labels(lessons))
    parameters = [*tower.parameters(), *teacher.parameters()]
    optimizer = make_adamw(parameters, recipe.lr, recipe.weight_decay)
    shuffle, task, running = Shuffle(len(lessons), rng), bar.add_task("vision tower", total=recipe.steps), math.nan
    for step in range(recipe.steps):
        warm_cosine(optimizer, recipe.lr, step, recipe.steps)
        chosen = shuffle.take(recipe.batch)
        move = rng.integers(-recipe.shift, recipe.shift + 1, size=2)
        pixels_BSS = expose(shifted(pictures_NSS[chosen], move), rng)
        shift = (float(move[0]) / recipe.side, float(move[1]) / recipe.side)
        shown_BPK = torch.from_numpy(np.stack([patch_labels(lessons[i].boxes, recipe.grid, shift) for i in chosen]))
        loss = teaching_loss(teacher(last_hidden(tower, pixels_BSS)), shown_BPK.flatten(1, 2), labels_NK[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        tell(bar, task, "tower", step, recipe.steps, running)
    return running


def teaching_loss(logits: tuple[Tensor, Tensor], shown_BPK: Tensor, labels_BK: Tensor) -> Tensor:
    """Returns the loss of patches and studies together.

    Labels are smoothed: a logit then has a finite best value, so features take one of two levels instead of growing
    without end, and a linear projector can turn them into words.
    """
    patches = F.binary_cross_entropy_with_logits(logits[0], shown_BPK * 0.9 + 0.05, reduction="none")
    studies = F.binary_cross_entropy_with_logits(logits[1], labels_BK * 0.96 + 0.02, reduction="none")
    return patches.sum(dim=-1).mean() + 0.3 * studies.sum(dim=-1).mean()


def shifted(pictures_BSS: NDArray[np.uint8], move: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Moves pictures right by move[0] and down by move[1] pixels; the border is repeated into what becomes free."""
    room = int(np.abs(move).max())
    side = pictures_BSS.shape[1]
    wide = np.pad(pictures_BSS, ((0, 0), (room, room), (room, room)), mode="edge")
    top, left = room - int(move[1]), room - int(move[0])
    return wide[:, top : top + side, left : left + side]


def expose(pictures_BSS: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Returns pixels from -1 to 1 as if each film were exposed and developed a little differently."""
    size = (len(pictures_BSS), 1, 1)
    gamma, gain, offset = np.exp(rng.normal(0, 0.15, size)), 1 + rng.normal(0, 0.08, size), rng.normal(0, 0.05, size)
    bright_BSS = (pictures_BSS.astype(np.float32) / 255.0) ** gamma.astype(np.float32)
    return torch.from_numpy(np.clip(bright_BSS * gain + offset, 0, 1).astype(np.float32)) * 2.0 - 1.0


@torch.no_grad()
def study_f1(
    tower: SiglipVisionModel, teacher: PatchTeacher, pictures_NSS: NDArray[np.uint8], labels_NK: NDArray[np.float32]
) -> float:
    """Returns the micro-F1 of what the teacher reads off the tower about whole studies."""
    tower.eval()
    logits_NK = torch.cat([teacher(last_hidden(tower, to_pixels(part)))[1] for part in _parts(pictures_NSS, 64)])
    said_NK, true_NK = logits_NK.numpy() > 0, labels_NK > 0
    hits = float((said_NK & true_NK).sum())
    return 2 * hits / max(1.0, float(said_NK.sum() + true_NK.sum()))


def _parts(pictures_NSS: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    return [pictures_NSS[start : start + size] for start in range(0, len(pictures_NSS), size)]


@torch.no_grad()
def rescale_stream(tower: SiglipVisionModel, scale: float, pixels_BSS: Tensor) -> None:
    """Gives the last hidden state the deviation `scale` and changes nothing else, in place.

    Every layer normalises what it reads, so writing into the residual stream on another scale leaves its shape as it
    is. A projector that starts at the scale of the words around it learns in fewer steps.

    Args:
        tower: The tower.
        scale: Deviation wanted, over patches and channels.
        pixels_BSS: Pictures to measure on.
    """
    factor = scale / float(last_hidden(tower, pixels_BSS).std())
    writers: list[Any] = [tower.embeddings.patch_embedding, tower.embeddings.position_embedding]
    for layer in tower.encoder.layers:
        writers += [layer.self_attn.out_proj, layer.mlp.fc2]
    for writer in writers:
        for parameter in writer.parameters():
            parameter.mul_(factor)


def _save(tower: SiglipVisionModel, recipe: TowerRecipe, out: Path) -> None:
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    tower.save_pretrained(partial)
    size = {"height": recipe.side, "width": recipe.side}
    half = [0.5, 0.5, 0.5]
    SiglipImageProcessor(size=size, image_mean=half, image_std=half).save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
