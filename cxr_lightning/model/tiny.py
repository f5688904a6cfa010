"""Random-weight towers and language models of well under a million parameters, for tests, documentation and dry runs.

They are ordinary Hugging Face folders, so everything downstream treats them like the large ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
    SiglipVisionModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTModel,
)

TowerName = Literal["clip", "siglip", "dinov2", "vit", "swin"]

_SENTENCES = (
    "The heart size is normal. The lungs are clear. There is no pleural effusion or pneumothorax.",
    "Small left pleural effusion with adjacent atelectasis in the left lower lobe.",
    "Right upper lobe consolidation, likely pneumonia. Mild interstitial pulmonary edema.",
    "A nodule projects over the right mid zone. Dual-lead pacemaker in place. No acute findings.",
    "Describe this chest radiograph. What are the findings? Summarise the findings and impression.",
)

CHAT_TEMPLATE = (
    "{%- for m in messages -%}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"
)


def write_tower(
    folder: Path, name: TowerName = "siglip", *, image_size: int = 32, patch: int = 8, width: int = 32, seed: int = 0
) -> Path:
    """Writes a random vision tower with its image processor.

    Args:
        folder: Where to.
        name: The family.
        image_size: Side of the input in pixels.
        patch: Side of a patch in pixels; Swin has its own.
        width: Hidden width.
        seed: Seed of the weights.

    Returns:
        The folder.
    """
    torch.manual_seed(seed)
    common: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": image_size,
    }
    tower: Any
    if name == "clip":
        tower = CLIPVisionModel(CLIPVisionConfig(**common, intermediate_size=2 * width, patch_size=patch))
    elif name == "siglip":
        tower = SiglipVisionModel(
            SiglipVisionConfig(**common, intermediate_size=2 * width, patch_size=patch, vision_use_head=False)
        )
    elif name == "dinov2":
        tower = Dinov2Model(Dinov2Config(**common, mlp_ratio=2, patch_size=patch))
    elif name == "vit":
        tower = ViTModel(ViTConfig(**common, intermediate_size=2 * width, patch_size=patch))
    else:
        config = SwinConfig(
            image_size=image_size, patch_size=4, embed_dim=width // 2, depths=[1, 1], num_heads=[1, 2], window_size=2
        )
        tower = SwinModel(config)
    tower.save_pretrained(folder)
    side = {"height": image_size, "width": image_size}
    half = [0.5, 0.5, 0.5]
    CLIPImageProcessor(size=side, crop_size=side, image_mean=half, image_std=half).save_pretrained(folder)
    return folder


def write_language(
    folder: Path, *, width: int = 48, layers: int = 2, seed: int = 0, template: str | None = CHAT_TEMPLATE
) -> Path:
    """Writes a random Llama with a byte-level tokenizer trained on a few sentences of radiology.

    Args:
        folder: Where to.
        width: Hidden width; a multiple of 16.
        layers: Number of layers.
        seed: Seed of the weights.
        template: Chat template, or None for a model without one.

    Returns:
        The folder.
    """
    tokenizer = _tokenizer(template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 16,
        num_key_value_heads=width // 16,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|bos|>", "<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_SENTENCES, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = template
    return tokenizer
