"""Complete vision-language models of a few thousand parameters, one writer a family, as ordinary model folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    AutoTokenizer,
    BertTokenizerFast,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

QWEN_TEMPLATE = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{%- if m['content'] is string -%}{{ m['content'] }}{%- else -%}{%- for part in m['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- else -%}{{ part['text'] }}{%- endif -%}{%- endfor -%}{%- endif -%}{{ '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{%- for m in messages -%}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}"
    "{%- if m['content'] is string -%}{{ m['content'] }}{%- else -%}{%- for part in m['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{ '<start_of_image>' }}{%- else -%}{{ part['text'] | trim }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<end_of_turn>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"
)
_QUERIES = 4


def write_qwen2(folder: Path, language: str) -> Path:
    """Writes a random Qwen2-VL; `language` lends its tokenizer."""
    tokenizer, token = _qwen_tokenizer(language)
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=_qwen_text(tokenizer), vision_config=vision, **token)
    torch.manual_seed(0)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    return _with_qwen2_processor(folder, Qwen2VLProcessor, tokenizer)


def write_qwen2_5(folder: Path, language: str) -> Path:
    """Writes a random Qwen2.5-VL: one of its tower's layers attends by windows, one to the whole image."""
    tokenizer, token = _qwen_tokenizer(language)
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 14, "out_hidden_size": 32,
        "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=_qwen_text(tokenizer), vision_config=vision, **token)
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return _with_qwen2_processor(folder, Qwen2_5_VLProcessor, tokenizer)


def _with_qwen2_processor(folder: Path, kind: Any, tokenizer: PreTrainedTokenizerFast) -> Path:
    limits = {"shortest_edge": 28 * 28, "longest_edge": 84 * 84}
    kind(
        image_processor=Qwen2VLImageProcessor(size=limits),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=limits),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def write_qwen3(folder: Path, language: str) -> Path:
    """Writes a random Qwen3-VL, whose tower's earlier layers reach the language model's (deepstack)."""
    tokenizer, token = _qwen_tokenizer(language)
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 16, "out_hidden_size": 32,
        "num_position_embeddings": 36, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    text = {**_qwen_text(tokenizer), "head_dim": 16}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **token)
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    limits = {"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=limits, patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def write_gemma3(folder: Path, language: str) -> Path:
    """Writes a random Gemma 3: one layer with a window, one without, images attended to in both directions."""
    tokenizer = _with_tokens(
        language, "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<end_of_image>"
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token="<|bos|>", eos_token="<end_of_turn>", pad_token="<|pad|>",
        extra_special_tokens={
            "image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"
        },
    )  # fmt: skip
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16,
        "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"],
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 48, "patch_size": 8, "vision_use_head": False,
    }  # fmt: skip
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=9, image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id, eoi_token_index=tokenizer.eoi_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
    model.save_pretrained(folder)
    Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 48, "width": 48}),
        tokenizer=tokenizer,
        chat_template=GEMMA_TEMPLATE,
        image_seq_length=9,
    ).save_pretrained(folder)
    return folder


def write_blip2(folder: Path, language: str) -> Path:
    """Writes a random BLIP-2 with an OPT, as the published ones without a chat template."""
    tokenizer = _with_tokens(language)
    processor = Blip2Processor(_blip_images(), tokenizer, num_query_tokens=_QUERIES)
    text = {
        "model_type": "opt", "vocab_size": len(tokenizer), "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 1024, **_ends(tokenizer),
    }  # fmt: skip
    torch.manual_seed(0)
    Blip2ForConditionalGeneration(Blip2Config(text_config=text, **_blip(tokenizer, {}))).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_instructblip(folder: Path, language: str) -> Path:
    """Writes a random InstructBLIP with a Llama (Vicuna), whose Q-Former reads the instruction too."""
    tokenizer = _with_tokens(language)
    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.?:<|>_"]
    letters += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    processor = InstructBlipProcessor(_blip_images(), tokenizer, _word_pieces(letters), num_query_tokens=_QUERIES)
    text = {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 1024, **_ends(tokenizer),
    }  # fmt: skip
    parts = _blip(tokenizer, {"vocab_size": len(letters)})
    torch.manual_seed(0)
    InstructBlipForConditionalGeneration(InstructBlipConfig(text_config=text, **parts)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


WRITERS: dict[str, Callable[[Path, str], Path]] = {
    "blip2": write_blip2,
    "instructblip": write_instructblip,
    "qwen2_vl": write_qwen2,
    "qwen2_5_vl": write_qwen2_5,
    "qwen3_vl": write_qwen3,
    "gemma3": write_gemma3,
}
"""How to write a complete model of each family: folder and language model whose tokenizer is lent."""


def _with_tokens(language: str, *names: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(language)
    tokenizer.add_tokens(list(names), special_tokens=True)
    tokenizer.chat_template = None
    return tokenizer


def _qwen_tokenizer(language: str) -> tuple[Any, dict[str, int]]:
    names = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = _with_tokens(language, *names)
    tokenizer.eos_token = "<|im_end|>"
    number = dict(zip(names, tokenizer.convert_tokens_to_ids(names), strict=True))
    options = {
        "image_token_id": number["<|image_pad|>"], "video_token_id": number["<|video_pad|>"],
        "vision_start_token_id": number["<|vision_start|>"], "vision_end_token_id": number["<|vision_end|>"],
    }  # fmt: skip
    return tokenizer, options


def _qwen_text(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def _ends(tokenizer: Any) -> dict[str, int]:
    return {
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def _blip_images() -> BlipImageProcessor:
    return BlipImageProcessor(size={"height": 32, "width": 32})


def _blip(tokenizer: Any, qformer: dict[str, Any]) -> dict[str, Any]:
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8, "initializer_range": 0.05,
    }  # fmt: skip
    queries = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "encoder_hidden_size": 32, **qformer,
    }  # fmt: skip
    return {
        "vision_config": vision, "qformer_config": queries, "num_query_tokens": _QUERIES,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
    }  # fmt: skip


def _word_pieces(vocabulary: list[str]) -> BertTokenizerFast:
    inner = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return BertTokenizerFast(tokenizer_object=inner)
