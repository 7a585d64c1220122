"""What a person is told of an error."""

import pytest
import torch

from ser_lightning.utils.errors import UserError, check, why


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (float("nan"), {}),
        (float("inf"), {"above": 0}),
        (float("-inf"), {"at_most": 1}),
        (1.0, {"integer": True}),
        (True, {}),
        ("1", {}),
        (0, {"above": 0}),
    ],
)
def test_what_is_no_number_of_a_domain_is_refused(value, domain):
    with pytest.raises(UserError, match="Gain: gain_db="):
        check("Gain: ", gain_db=value, **domain)
    check("Gain: ", integer=True, at_least=0, gain_db=3)
    check("Gain: ", above=0, at_most=1.5, gain_db=1.5)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_where_memory_ran_out_it_says_what_takes_less(error):
    said = why(error)
    assert said.startswith("memory ran out (") and "\n" not in said
    assert "data.batch_size" in said and "data.max_clip_seconds=30 with data.on_long=split" in said


def test_the_allocator_of_torch_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert why(caught.value).startswith("memory ran out (")


def test_another_error_of_a_library_keeps_its_name():
    assert why(RuntimeError("shapes differ")) == "RuntimeError: shapes differ"
