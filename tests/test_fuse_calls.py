"""Hooks and layers that change during a call: a whole chain takes the fused path or none."""

import copy
import sys
import threading

import pytest
import torch
from fused_parts import ChainLayers, TailInChild, block_of, images
from fusible import Children, Tutorial, plain

import torchconv


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("make", [plain, Tutorial])
def test_hooks_that_remove_themselves(make, at, kind):
    """All layers of one call take the same decision."""
    model = make(torch.nn).double().eval()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images().requires_grad_()
    expected = model(x)
    for each in (fused, fused):
        parts = ChainLayers(each)
        layer, handles = (parts.conv, parts.relu, parts.pool)[at], []

        def once(*_, handles=handles):
            handles.pop().remove()

        handles.append(getattr(layer, f"register_{kind}")(once))
        out = each(x)
        torch.testing.assert_close(out, expected)
        torch.autograd.grad(out.sum(), x)
    assert torch.equal(fused(x), torchconv.fuse(copy.deepcopy(model))(x))


def test_a_checkpoint_that_is_recomputed_under_hooks_on_all_modules():
    fused, x = torchconv.fuse(plain(torch.nn)), images().float().requires_grad_()
    out = torch.utils.checkpoint.checkpoint(fused[:3], x, use_reentrant=False)
    torch.testing.assert_close(torchconv.unfuse(copy.deepcopy(fused))[:3](x), out)


def test_threads_see_whole_blocks_while_another_changes_layers():
    fused, x = torchconv.fuse(plain(torch.nn)), images().float()
    expected, done, wrong = fused(x), threading.Event(), []

    def change():
        while not done.is_set():
            fused[1].register_forward_hook(hook_without_effect).remove()

    changing = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        changing.start()
        for _ in range(300):
            out = fused(x)
            if out.shape != expected.shape or not torch.allclose(out, expected, atol=1e-5):
                wrong.append(out)
    finally:
        done.set()
        changing.join()
        sys.setswitchinterval(interval)
    assert not wrong


def hook_without_effect(module, inputs, out):
    return None


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_a_hook_that_removes_itself_before_the_rest_of_its_chain(kind):
    model = TailInChild().double()
    fused, x, handles = torchconv.fuse(copy.deepcopy(model)), images(), []
    handles.append(getattr(fused.conv, f"register_{kind}")(lambda *_: handles.pop().remove()))
    for _ in range(2):
        torch.testing.assert_close(fused(x), model(x))
    assert not handles
    assert block_of(fused)._torchconv_fusion.is_intact()


@pytest.mark.parametrize("again", [torchconv.unfuse, torchconv.fuse])
@pytest.mark.parametrize("part", ["conv", "finish"])
def test_a_part_without_the_rest_of_its_chain(again, part):
    model = TailInChild().double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    assert block_of(fused)._torchconv_fusion.is_intact()
    again(getattr(fused, part))
    torch.testing.assert_close(fused(x), model(x))
    torchconv.fuse(fused)
    assert block_of(fused)._torchconv_fusion.is_intact()
    torch.testing.assert_close(fused(x), model(x))


def test_unfuse_of_a_part_leaves_a_model_that_is_right():
    model = Children(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    for child in fused.children():
        torchconv.unfuse(child)
        torch.testing.assert_close(fused(x), model(x))
    assert block_of(torchconv.fuse(fused)) is not None
    torch.testing.assert_close(fused(x), model(x))
