"""Samples of a packed row do not see each other, and cost what they would cost alone."""

from __future__ import annotations

import torch

from cxr_lightning.model.attention import use_segments
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource


def test_packed_logits_are_the_logits_of_each_alone(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    model = load_model(source, load_processor(source))
    use_segments(model.model.language_model)
    torch.manual_seed(0)
    rows = [torch.randint(5, 400, (length,)) for length in (7, 1, 12)]
    packed = model.model(
        input_ids=torch.cat(rows)[None],
        position_ids=torch.cat([torch.arange(len(row)) for row in rows])[None],
        segment_lengths=[len(row) for row in rows],
        use_cache=False,
    ).last_hidden_state[0]
    alone = torch.cat([model.model(input_ids=row[None], use_cache=False).last_hidden_state[0] for row in rows])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=0)


def test_changing_one_sample_leaves_its_neighbours_bit_equal(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    model = load_model(source, load_processor(source))
    use_segments(model.model.language_model)

    def hidden(first_token: int) -> torch.Tensor:
        ids = torch.arange(10, 20)[None].clone()
        ids[0, 0] = first_token
        positions = torch.cat([torch.arange(4), torch.arange(6)])[None]
        return model.model(
            input_ids=ids, position_ids=positions, segment_lengths=[4, 6], use_cache=False
        ).last_hidden_state[0]

    one, other = hidden(10), hidden(300)
    assert torch.equal(one[4:], other[4:])
    assert not torch.equal(one[:4], other[:4])
