"""Samples of a packed row do not see each other, and cost what they would cost alone."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, Lfm2Config, MistralConfig, MistralForCausalLM

from cxr_lightning.model import attention
from cxr_lightning.model.attention import NAME, _agrees, segment_attention, use_segments
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource


def test_packed_logits_are_the_logits_of_each_alone(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    model = load_model(source, load_processor(source))
    assert use_segments(model)
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
    assert use_segments(model)

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


def test_a_model_whose_layers_mix_neighbours_is_not_packed(parts, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(parts["language"])
    tokenizer.save_pretrained(tmp_path)
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        layer_types=["conv", "full_attention"],
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    source = ModelSource(vision=parts["siglip"], language=str(tmp_path))
    model = load_model(source, load_processor(source))
    assert not use_segments(model)
    assert model.model.language_model.config._attn_implementation != NAME


@pytest.mark.quick
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_heads_are_attended_to_in_segments(groups):
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 11, 8, requires_grad=True) for heads in (4, groups, groups))
    packed, _ = segment_attention(None, query, key, value, None, segment_lengths=[4, 7])
    whole = [each.repeat_interleave(4 // each.shape[1], 1) for each in (query, key, value)]
    where = torch.block_diag(torch.ones(4, 4), torch.ones(7, 7)).tril().bool()
    dense = torch.nn.functional.scaled_dot_product_attention(*whole, attn_mask=where).transpose(1, 2)
    torch.testing.assert_close(packed, dense)
    slopes = [torch.autograd.grad(each.square().sum(), (query, key, value)) for each in (packed, dense)]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.quick
def test_a_kernel_is_used_where_it_gives_the_values_of_sdpa_alone():
    def right(query, key, value, lengths, scale):
        rows = (each.transpose(0, 1)[None] for each in (query, key, value))
        return segment_attention(None, *rows, None, scaling=scale, segment_lengths=list(lengths))[0][0]

    def blind(query, key, value, lengths, scale):
        return right(query, key, value, (sum(lengths),), scale)

    def narrow(query, key, value, lengths, scale):
        return (right if query.shape[-1] <= 64 else blind)(query, key, value, lengths, scale)

    cpu = torch.device("cpu")
    assert _agrees(right, cpu, torch.float32, 64)
    assert not _agrees(blind, cpu, torch.float32, 64)
    assert _agrees(narrow, cpu, torch.float32, 64)
    assert not _agrees(narrow, cpu, torch.float32, 128)
    assert attention._varlen(cpu, torch.bfloat16, 64) is None
    assert attention._ends((3, 4), cpu).tolist() == [0, 3, 7]


@pytest.mark.quick
@pytest.mark.parametrize("asks", [False, True], ids=["PyTorch 2.11", "later"])
def test_pytorchs_kernel_is_called_as_each_version_of_it_takes(monkeypatch, asks):
    def attend(query, key, value, starts_q, starts_k, most_q, most_k, *, scale=None, window_size=(-1, -1)):
        assert window_size == (-1, 0)
        assert torch.equal(starts_q, starts_k)
        rows = (each.transpose(0, 1)[None] for each in (query, key, value))
        lengths = starts_q.diff().tolist()
        assert most_q == most_k == max(lengths)
        return segment_attention(None, *rows, None, scaling=scale, segment_lengths=lengths)[0][0]

    def later(query, key, *others, enable_gqa=False, **named):
        assert enable_gqa == (query.shape[1] != key.shape[1])
        return attend(query, key, *others, **named)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", later if asks else attend)
    assert _agrees(attention._torch_varlen, torch.device("cpu"), torch.float32, 64)


@pytest.mark.parametrize("kinds", [None, ["sliding_attention", "full_attention"]])
def test_a_model_with_sliding_windows_is_not_packed(parts, kinds):
    windows = {"layer_types": kinds} if kinds else {}
    config = MistralConfig(
        vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=8, **windows,
    )  # fmt: skip
    assert not use_segments(MistralForCausalLM(config))
    config.sliding_window, config.layer_types = None, None
    assert use_segments(MistralForCausalLM(config))


@pytest.mark.quick
def test_a_kernel_is_tried_wherever_the_first_row_comes_by():
    calls = []

    def kernel(query, key, value, lengths, scale):
        rows = (each.transpose(0, 1)[None] for each in (query, key, value))
        return segment_attention(None, *rows, None, scaling=scale, segment_lengths=list(lengths))[0][0]

    def layer(row):
        if not calls:  # as the first layer does, and does not again on the way back
            calls.append(_agrees(kernel, torch.device("cpu"), torch.float32, 64))
        return row.exp().sin()

    with torch.inference_mode(), torch.device("meta"):
        assert _agrees(kernel, torch.device("cpu"), torch.float32, 64)
    row = torch.ones(3, requires_grad=True)
    checkpoint(layer, row, use_reentrant=False).sum().backward()
    assert calls == [True]
    torch.testing.assert_close(row.grad, row.exp().cos() * row.exp())
