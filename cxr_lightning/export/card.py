"""The model card: where an exported model comes from, what it is for, and what it is not."""

from __future__ import annotations

import json
import re
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

## Intended use and limits

{limits}

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
| precision, ranks | {precision}, {ranks} |
| source commit | `{commit}` |
| inherits | {inherits} |
{loss}
The run's whole record stands in `provenance.json`; the studies it learned from, by hashed key and look, in
`studies.npy`, so that nobody scores it on them unawares. Who has a film can find out whether it is among them: where
that must not be known, delete that file.

## Licences

The licences of {base} and of the data apply to these weights too; neither is changed by training. Who trains on data
that may not be shared (MIMIC-CXR asks for a signed agreement) may not share the weights either.

## Proof

{proof}

## Evaluation

None yet: `cxr evaluate {title} SHARDS --out DIR` writes its scores here.
"""

_LIMITS = """\
Made to study what models of vision and language write about frontal and lateral chest radiographs of adults. It knows
the population, the machines and the reporting habits of its training data and no others; it has not been shown to work
on children, on other parts of the body, on other kinds of images, or against reports of other hospitals. It sees no
earlier image, unless it was asked with one, and no record. An answer that reads well is no sign that it is right:
score it on data of your own, also with another patient's image in the place of the right one (`cxr evaluate`), before
you believe anything that it says.
"""

_LIMITS_TEXT = """\
Made to be the language model of one that sees. It was tuned on text of radiology, knows the reporting habits of its
training data and no others, and invents what it does not know.
"""

_USE_ADAPTER = """\
from peft import PeftModel
from transformers import {auto}, AutoProcessor

processor = AutoProcessor.from_pretrained(FOLDER)
model = PeftModel.from_pretrained({auto}.from_pretrained({base}, dtype="auto"), FOLDER)
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
    provenance: dict[str, Any],
    *,
    title: str,
    run: str,
    checkpoint: str,
    proof: list[tuple[str, str]],
    loss: float | None = None,
    adapter: bool = False,
) -> str:
    """Returns the card's text.

    Args:
        provenance: The run's `run.json`.
        title: Name of the model.
        run: Name of the run.
        checkpoint: Name of the checkpoint.
        proof: Claims and findings of the export's checks.
        loss: Validation loss of the checkpoint, if it has one.
        adapter: Whether it is an adapter, to be used beside its base.
    """
    model, inherits = provenance["model"], provenance["inherits"]
    text_only = model["base"] is None and model["vision"] is None
    named = _plain(_base(model))
    return _TEXT.format(
        title=_plain(title),
        task="text-generation" if text_only else "image-text-to-text",
        what="A language model tuned on radiology text; it sees no images."
        if text_only
        else "Writes about chest radiographs.",
        limits=(_LIMITS_TEXT if text_only else _LIMITS).rstrip(),
        use=_use(model, text_only=text_only, adapter=adapter),
        version=provenance["cxr_lightning"],
        run=_plain(run),
        checkpoint=_plain(checkpoint),
        stage=provenance["stage"],
        base=named,
        fingerprint=provenance["base_fingerprint"],
        trainable=", ".join(f"{role} {how}" for role, how in provenance["trainable"].items()),
        learning=provenance["parameters"]["learning"],
        total=provenance["parameters"]["total"],
        lora=_told(provenance["lora"], adapter=adapter),
        shards=provenance["data"]["fingerprint"][:16],
        samples=provenance["data"]["samples"],
        precision=provenance["precision"],
        ranks=provenance.get("ranks", "?"),
        commit=provenance["commit"] or "unknown",
        inherits="nothing"
        if inherits is None
        else f"{inherits['provenance']['stage']} run, {inherits['provenance']['created']}",
        loss="" if loss is None else f"| validation loss | {loss:.4f} |\n",
        proof="\n".join(f"- {claim}: {found}" for claim, found in proof),
    )


def _plain(text: str) -> str:
    """Takes out of a name what would end a line, a cell or a piece of code."""
    return re.sub(r"[\s|`<>#]+", " ", text).strip()


def _base(model: dict[str, Any]) -> str:
    parts = (
        [model["base"]] if model["base"] else [model["vision"], model["language"], f"{model['projector']} projector"]
    )
    if model["base"] is None and model["vision"] is None:
        parts = [model["language"]]
    named = " + ".join(str(part).rstrip("/").rsplit("/", 1)[-1] for part in parts)
    return named + (", language model as four bits leave it (nf4)" if model.get("quantize") else "")


def _use(model: dict[str, Any], *, text_only: bool, adapter: bool) -> str:
    if adapter:
        auto = "AutoModelForCausalLM" if text_only else "AutoModelForImageTextToText"
        return _USE_ADAPTER.format(auto=auto, base=json.dumps(model["base"] or model["language"]))
    return _USE_TEXT if text_only else _USE


def _told(lora: dict[str, Any] | None, *, adapter: bool) -> str:
    how = "as they were learned" if adapter else "merged"
    return "; ".join(f"{role}: {each}, {how}" for role, each in loras_from_json(lora).items()) or "none"
