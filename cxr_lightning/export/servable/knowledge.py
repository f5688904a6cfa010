"""What vLLM holds: read in its source, version 0.32.0, and tried on the models of tests/serving.

This is the file to look at when a newer vLLM holds more. Nothing here imports vLLM.
"""

from __future__ import annotations

VERSION = "0.32.0"

ARCHITECTURES = {
    "LlavaForConditionalGeneration": "llava",
    "Qwen2VLForConditionalGeneration": "qwen2_vl",
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "Qwen3VLForConditionalGeneration": "qwen3_vl",
    "Gemma3ForConditionalGeneration": "gemma3",
    "Blip2ForConditionalGeneration": "blip-2",
}
"""Architectures of ours that its registry has, and their model type (model_executor/models/registry.py)."""

TOWERS = {"clip_vision_model": 1, "siglip_vision_model": 0}
"""Towers that its Llava holds, and the tokens before their first patch (models/llava.py, init_vision_tower_for_llava).

It holds Pixtral's too, which this package does not train.
"""

ACTIVATIONS = (
    "gelu", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "relu", "relu2", "silu", "swish", "quick_gelu", "tanh",
    "sigmoid", "xielu",
)  # fmt: skip
"""Activations that a projector may have (layers/activation.py, get_act_fn). The identity is not among them."""

LANGUAGES = (
    "LlamaForCausalLM", "MistralForCausalLM", "Ministral3ForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM",
    "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM", "Qwen3_5ForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM",
    "Gemma3ForCausalLM", "Phi3ForCausalLM", "OPTForCausalLM", "GPT2LMHeadModel", "GPTJForCausalLM", "FalconForCausalLM",
    "BloomForCausalLM", "MixtralForCausalLM", "StableLmForCausalLM", "GraniteForCausalLM", "CohereForCausalLM",
    "Cohere2ForCausalLM", "ExaoneForCausalLM", "Exaone4ForCausalLM", "Glm4ForCausalLM", "InternLM2ForCausalLM",
    "InternLM3ForCausalLM", "MiniCPMForCausalLM", "ApertusForCausalLM", "Ernie4_5ForCausalLM", "OlmoeForCausalLM",
    "GptOssForCausalLM", "NemotronForCausalLM", "SolarForCausalLM", "HyperCLOVAXForCausalLM",
)  # fmt: skip
"""Language models that it can put behind a tower, of its registry's 118 those that are likely to be met."""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank may be (config/lora.py)."""

QUANTIZED = ("fp8", "awq", "gptq", "compressed-tensors", "bitsandbytes", "modelopt", "torchao", "mxfp4")
"""Ways of storing weights in fewer bits that it reads. GGUF, in a folder like ours, is none of them."""

SAMPLING = ("temperature", "top_k")
"""It knows no `do_sample`: greedy is temperature 0, or top_k 1 (config/model.py, get_diff_sampling_param)."""
