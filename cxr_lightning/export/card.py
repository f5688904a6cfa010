"""The model card: where an exported model comes from, what it is for, and what it is not."""

from __future__ import annotations

from typing import Any

from cxr_lightning.model.lora import loras_from_json

_TEXT = """\
---
library_name: transformers
pipeline_tag: {task}
tags: [chest-x-ray, radiology, cxr-lightning]
---

# {title}

{what} Made by cxr-lightning {version} from run `{run}`, checkpoint `{checkpoint}`.

**Not a medical device.** For research. It may overlook findings and invent others; nothing it writes may reach a
patient without a radiologist who has read the image.

## Use

```python
{use}```

## Provenance

| | |
|---|---|
| stage | {stage} |
| base | {base} |
| base fingerprint | `{fingerprint}` |
| learned | {trainable}, {learning:,} of {total:,} parameters |
| LoRA | {lora} |
| shards | `{shards}`, {samples:,} training samples |
| source commit | `{commit}` |
| inherits | {inherits} |

Licences of the base models and of the data apply; neither is changed by training.

## Proof

{proof}
"""

_USE = """\
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained(FOLDER)
model = AutoModelForImageTextToText.from_pretrained(FOLDER)
content = [{"type": "image"}, {"type": "text", "text": "Describe this chest radiograph."}]
turns = [{"role": "user", "content": content}]
template = processor.chat_template or processor.tokenizer.chat_template  # BLIP-2's processors do not load theirs
text = processor.apply_chat_template(turns, chat_template=template, add_generation_prompt=True)
begins = text.startswith(processor.tokenizer.bos_token or "<none>")  # the template wrote the begin token itself
image = Image.open(IMAGE).convert("RGB")
inputs = processor(images=image, text=text, add_special_tokens=not begins, return_tensors="pt")
new = model.generate(**inputs, max_new_tokens=256)[:, inputs["input_ids"].shape[1]:]
print(processor.batch_decode(new, skip_special_tokens=True)[0])
"""

_USE_TEXT = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(FOLDER)
turns = [{"role": "user", "content": "Write the impression for these findings: ..."}]
inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")
new = model.generate(**inputs)[:, inputs["input_ids"].shape[1]:]
print(tokenizer.batch_decode(new, skip_special_tokens=True)[0])
"""


def model_card(
    provenance: dict[str, Any], *, title: str, run: str, checkpoint: str, proof: list[tuple[str, str]]
) -> str:
    """Returns the card's text.

    Args:
        provenance: The run's `run.json`.
        title: Name of the model.
        run: Name of the run.
        checkpoint: Name of the checkpoint.
        proof: Claims and findings of the export's checks.
    """
    model, loras = provenance["model"], loras_from_json(provenance["lora"])
    text_only = model["base"] is None and model["vision"] is None
    parts = (
        [model["base"]] if model["base"] else [model["vision"], model["language"], f"{model['projector']} projector"]
    )
    if text_only:
        parts = [model["language"]]
    inherits = provenance["inherits"]
    return _TEXT.format(
        title=title,
        task="text-generation" if text_only else "image-text-to-text",
        what="A language model tuned on radiology text; it sees no images."
        if text_only
        else "Writes about chest radiographs.",
        use=_USE_TEXT if text_only else _USE,
        version=provenance["cxr_lightning"],
        run=run,
        checkpoint=checkpoint,
        stage=provenance["stage"],
        base=" + ".join(str(part).rstrip("/").rsplit("/", 1)[-1] for part in parts)
        + (", language model as four bits leave it (nf4)" if model.get("quantize") else ""),
        fingerprint=provenance["base_fingerprint"],
        trainable=", ".join(f"{role} {how}" for role, how in provenance["trainable"].items()),
        learning=provenance["parameters"]["learning"],
        total=provenance["parameters"]["total"],
        lora="; ".join(f"{role}: {each}, merged" for role, each in loras.items()) or "none",
        shards=provenance["data"]["fingerprint"][:16],
        samples=provenance["data"]["samples"],
        commit=provenance["commit"] or "unknown",
        inherits="nothing"
        if inherits is None
        else f"{inherits['provenance']['stage']} run, {inherits['provenance']['created']}",
        proof="\n".join(f"- {claim}: {found}" for claim, found in proof),
    )
