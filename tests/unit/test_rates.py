"""Rates: which source decides, and what a rate book promises."""

import math
import re

import pytest

from tieline.model.accelerator import BASES, REFERENCE, Accelerator, Figure, Rate
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import ROOFLINE_RANGE, absolute_rate, roofline
from tieline.model.errors import InputError, NotFoundError
from tieline.model.observed_rates import ENOUGH, ObservedRates
from tieline.model.rates import RateBook
from tieline.model.throughputs import ThroughputTable
from tieline.model.workload import WORKLOAD_CLASSES, Workload

EVERY = [(one, kind) for one in catalogue() for kind in WORKLOAD_CLASSES]
TRAINING = Workload("training")
ASCEND_H20 = ("huawei-910b2", "nvidia-h20-96")


def chip(name: str, rates: dict[str, Rate] | None = None, **figures: float) -> Accelerator:
    """Give an accelerator such as a network file defines."""
    return Accelerator(
        id=name,
        name=name,
        vendor="own",
        origin="CN",
        stack="cuda",
        figures={
            key: Figure(value, "", "the operator", "2026", "high")
            for key, value in figures.items()
        },
        rates=rates or {},
    )


def with_own(*own: Accelerator) -> dict[str, Accelerator]:
    """Give the catalogue with accelerators of one's own."""
    return {**catalogue(), **{one.id: one for one in own}}


@pytest.mark.parametrize(("accelerator", "kind"), EVERY)
def test_every_accelerator_has_a_rate_for_every_class(accelerator: str, kind: str) -> None:
    """Every accelerator has, for every class, a positive finite rate with basis and source."""
    rate = RateBook(catalogue()).rate(Workload(kind), accelerator, 8)
    assert 0 < rate.value < math.inf
    assert rate.basis in BASES
    assert rate.source
    assert (rate.low or rate.value) <= rate.value <= (rate.high or rate.value)


@pytest.mark.parametrize("kind", WORKLOAD_CLASSES)
@pytest.mark.parametrize("base", [REFERENCE, "huawei-910c", "enflame-s60"])
def test_the_base_is_exactly_one(kind: str, base: str) -> None:
    """The accelerator that rates are relative to has rate 1, without rounding."""
    rate = RateBook(catalogue(), relative_to=base).rate(Workload(kind), base, 4)
    assert rate.value == 1.0


def test_a_stored_rate_decides_before_the_specification() -> None:
    """What was measured is taken as it is; the roofline is not mixed in."""
    stored = catalogue()["nvidia-h20-96"].rates["decode"]
    assert RateBook(catalogue()).rate(Workload("decode"), "nvidia-h20-96", 1) == stored


def test_the_closest_class_stands_in_and_is_only_inferred() -> None:
    """Fine-tuning without a result of its own goes like training, and never as measured."""
    training = catalogue()["huawei-910b2"].rates["training"]
    assert training.basis == "measured"
    rate = absolute_rate(catalogue()["huawei-910b2"], "fine-tuning")
    assert (rate.value, rate.low, rate.high) == (training.value, training.low, training.high)
    assert rate.basis == "inferred"
    assert "as training" in rate.source


def test_what_stands_in_for_an_assumption_is_an_assumption() -> None:
    """A basis never gets better on the way."""
    assert absolute_rate(catalogue()["kunlun-m100"], "fine-tuning").basis == "assumed"


@pytest.mark.parametrize(
    ("kind", "figure", "value"),
    [
        ("training", "bf16_tflops", 500 / 989.5),
        ("fine-tuning", "bf16_tflops", 500 / 989.5),
        ("prefill", "fp8_tflops", 1200 / 1979),
        ("decode", "memory_bw_tbs", 1.2 / 4.8),
        ("batch-inference", "memory_bw_tbs", 1.2 / 4.8),
        ("hpc", "memory_bw_tbs", 1.2 / 4.8),
    ],
)
def test_the_roofline_is_the_ratio_of_what_limits_the_class(
    kind: str, figure: str, value: float
) -> None:
    """Training goes by BF16, prefill by FP8, the rest by bandwidth; the source has the formula."""
    own = chip("own", bf16_tflops=500, fp8_tflops=1200, int8_tops=700, memory_bw_tbs=1.2)
    rate = absolute_rate(own, kind)
    assert rate.value == pytest.approx(value)
    assert rate.basis == "assumed"
    assert f"{own.figures[figure].value:g} / " in rate.source
    assert rate.low == pytest.approx(value * ROOFLINE_RANGE[0])
    assert rate.high == pytest.approx(value * ROOFLINE_RANGE[1])


def test_the_next_best_figure_stands_in_and_is_named() -> None:
    """Without the limiting figure another is used, and the source says which is missing."""
    compute = chip("own", bf16_tflops=500)
    decode = absolute_rate(compute, "decode")
    assert decode.value == pytest.approx(500 / 989.5)
    assert "memory bandwidth is not known" in decode.source
    prefill = absolute_rate(compute, "prefill")
    assert prefill.value == pytest.approx(500 / 1979)
    assert absolute_rate(chip("own", int8_tops=400), "prefill").value == pytest.approx(400 / 1979)
    assert absolute_rate(chip("own", memory_bw_tbs=2.4), "training").value == pytest.approx(0.5)


def test_hpc_says_what_it_takes_and_leaves_out() -> None:
    """HPC goes by bandwidth, and its source says that FP64 is not looked at."""
    assert "FP64" in absolute_rate(catalogue()["nvidia-h20-96"], "hpc").source


def test_the_range_of_the_roofline_is_that_of_the_catalogue() -> None:
    """Three in four known rates, or more, lie in the range a roofline is given."""
    inside = [
        bound.low <= one.rates[kind].value <= bound.high
        for one in catalogue().values()
        for kind in one.rates
        if one.rates[kind].basis != "assumed"
        and (bound := roofline(one, kind)) is not None
        and bound.low is not None
        and bound.high is not None
    ]
    assert len(inside) > 100
    assert sum(inside) / len(inside) > 0.75


def test_the_lowest_rate_stands_in_where_no_figure_is_known() -> None:
    """Of an accelerator without figures, other work counts as its slowest known."""
    own = chip(
        "own",
        {
            "training": Rate(0.5, "measured", "own run"),
            "prefill": Rate(0.3, "measured", "own run"),
        },
    )
    rate = absolute_rate(own, "hpc")
    assert (rate.value, rate.basis) == (0.3, "assumed")
    assert "prefill" in rate.source


def test_a_class_is_completed_from_the_other_classes() -> None:
    """An accelerator that trains and prefills at half speed decodes at about half, inferred."""
    measured = {kind: Rate(0.5, "measured", "own run") for kind in ("training", "prefill")}
    rate = absolute_rate(chip("own", measured, memory_bw_tbs=2.4), "decode")
    assert rate.basis == "inferred"
    assert "completed from its rates for training, prefill, its figures" in rate.source
    assert 0.35 < rate.value < 0.7
    assert (rate.low or math.inf) < rate.value < (rate.high or 0)
    narrow = absolute_rate(chip("own", measured, memory_bw_tbs=0.6), "decode")
    assert narrow.value < 0.8 * rate.value
    said = {"training": Rate(0.5, "assumed", "network file")}
    assert absolute_rate(chip("own", said), "decode").basis == "assumed"


def test_an_accelerator_of_which_nothing_is_known_is_as_fast_as_the_reference() -> None:
    """Nothing known means 1, assumed, and the source says so."""
    rate = RateBook(with_own(chip("gpu"))).rate(TRAINING, "gpu", 2)
    assert (rate.value, rate.basis) == (1.0, "assumed")
    assert "no figure is known" in rate.source


def test_a_rate_relative_to_another_accelerator_is_a_quotient() -> None:
    """Relative to the H20, the H100's training rate is 0.88 / 0.20, with the weaker basis."""
    rate = RateBook(catalogue(), relative_to="nvidia-h20-96").rate(TRAINING, "nvidia-h100-sxm", 8)
    assert rate.value == pytest.approx(0.88 / 0.20)
    assert rate.basis == "inferred"
    assert rate.low == pytest.approx(0.80 / 0.25)
    assert rate.high == pytest.approx(0.92 / 0.15)


def test_a_base_that_cannot_run_is_refused() -> None:
    """A run time cannot hold on an accelerator that makes no progress."""
    own = chip("own", {"training": Rate(0.0, "measured", "own run")})
    book = RateBook(with_own(own), relative_to="own")
    with pytest.raises(InputError, match="rate for training is 0"):
        book.rate(TRAINING, REFERENCE, 1)


def test_an_unknown_accelerator_is_named_with_its_neighbours() -> None:
    """An unknown accelerator is an error that suggests the right one."""
    with pytest.raises(NotFoundError, match="did you mean nvidia-h200-sxm"):
        RateBook(catalogue()).rate(TRAINING, "nvidia-h200-smx", 1)
    with pytest.raises(NotFoundError):
        RateBook(catalogue(), relative_to="abacus")


def test_an_unknown_class_is_refused() -> None:
    """A class that does not exist has no rate."""
    with pytest.raises(InputError, match=re.escape("allowed: training, fine-tuning")):
        RateBook(catalogue()).rate(Workload("mining"), "nvidia-h20-96", 1)


SPEEDS = {
    ("resnet", "v100", 1): 4.0,
    ("resnet", "p100", 1): 1.0,
    ("resnet", "v100", 2): 7.0,
    ("resnet", "p100", 2): 2.8,
    ("lm", "p100", 1): 3.0,
    ("a3c", "v100", 1): 0.0,
    ("a3c", "p100", 1): 5.0,
    ("bert", "own", 1): 2.0,
}
OWN = with_own(chip("v100"), chip("p100"), chip("k80"), chip("own"))


def table(relative_to: str = "v100", **history: ObservedRates) -> RateBook:
    """Give a rate book with measured speeds on accelerators of a network's own."""
    speeds = ThroughputTable(SPEEDS)
    return RateBook(OWN, relative_to=relative_to, throughputs=speeds, **history)


@pytest.mark.parametrize(
    ("accelerator", "count", "value"),
    [("v100", 1, 1.0), ("p100", 1, 0.25), ("p100", 2, 0.4)],
)
def test_the_throughput_table_decides_for_its_models(
    accelerator: str, count: int, value: float
) -> None:
    """A model of the table runs at its measured ratio, per size."""
    rate = table().rate(Workload("training", "resnet"), accelerator, count)
    assert rate.value == pytest.approx(value)
    assert rate.basis == "measured"
    assert "resnet" in rate.source


def test_measured_as_not_running_is_never() -> None:
    """Speed 0 in a table means that it does not run there, whatever anything else says."""
    rate = table().rate(Workload("training", "a3c"), "v100", 1)
    assert (rate.value, rate.basis) == (0.0, "measured")
    assert "does not run" in rate.source
    assert table().rate(Workload("training", "a3c"), "p100", 1).value > 0


def test_a_size_that_was_not_measured_goes_by_the_nearest() -> None:
    """A gang of 4 goes by the ratio on 2, and that is only inferred."""
    rate = table().rate(Workload("training", "resnet"), "p100", 4)
    assert rate.value == pytest.approx(0.4)
    assert rate.basis == "inferred"
    assert "the size nearest to 4" in rate.source


def test_what_was_not_measured_is_completed_from_the_other_models() -> None:
    """A model without a speed on the base is set against it by the models that have both."""
    rate = table().rate(Workload("training", "lm"), "p100", 1)
    assert rate.value == pytest.approx(0.25, rel=1e-3)
    assert rate.basis == "inferred"
    assert "completed from 1 similar workload" in rate.source
    assert (rate.low or math.inf) < rate.value < (rate.high or 0)
    assert table().rate(Workload("training", "lm"), "v100", 1).value == 1.0


@pytest.mark.parametrize("model", ["resnet", "bert"])
def test_what_nothing_connects_goes_by_the_class(model: str) -> None:
    """An accelerator that no chain of measurements reaches is no more than its class says."""
    rate = table().rate(Workload("training", model), "k80", 1)
    assert (rate.value, rate.basis) == (1.0, "assumed")


def test_a_table_without_the_base_is_set_against_the_class() -> None:
    """Ratios are those of the table; their level is that of the classes, in the mean."""
    book = RateBook(
        catalogue(),
        throughputs=ThroughputTable(
            {("m", "huawei-910b2", 8): 3.0, ("m", "nvidia-h20-96", 8): 1.0}
        ),
    )
    ascend, h20 = (book.rate(Workload("training", "m"), name, 8) for name in ASCEND_H20)
    classes = [catalogue()[name].rates["training"].value for name in ASCEND_H20]
    assert ascend.value / h20.value == pytest.approx(3.0)
    assert ascend.value * h20.value == pytest.approx(classes[0] * classes[1])
    assert "set against" in ascend.source


def test_a_model_outside_the_throughput_table_goes_by_its_class() -> None:
    """The table says nothing of a model it does not have."""
    rate = table().rate(Workload("training", "gpt"), "p100", 3)
    assert (rate.value, rate.basis) == (1.0, "assumed")


@pytest.mark.parametrize("speed", [-1.0, math.nan, math.inf])
def test_a_table_holds_no_impossible_speed(speed: float) -> None:
    """A negative or non-finite speed is refused where the table is made, and named."""
    with pytest.raises(InputError, match="m on 1 x v100 has speed"):
        ThroughputTable({("m", "v100", 1): speed})


def test_what_the_job_says_comes_first() -> None:
    """Rates of the job file decide before a table; what they leave out goes on as before."""
    told = Workload("training", "resnet", (("p100", 0.5), ("v100", 1.0)))
    rate = table().rate(told, "p100", 1)
    assert (rate.value, rate.basis) == (0.5, "assumed")
    assert "job file" in rate.source
    assert table().rate(told, "k80", 1) == table().rate(Workload("training", "resnet"), "k80", 1)
    never = Workload("training", "resnet", (("p100", 0.0), ("v100", 1.0)))
    assert table().rate(never, "p100", 1).value == 0.0


def test_rates_of_a_job_in_any_unit_keep_their_ratios() -> None:
    """Relative to an accelerator that the job does not name, their level is that of the class."""
    told = Workload("training", None, (("huawei-910b2", 1.0), ("nvidia-h20-96", 2.0)))
    ascend, h20 = (RateBook(catalogue()).rate(told, name, 1).value for name in ASCEND_H20)
    assert h20 / ascend == pytest.approx(2.0)
    with_base = Workload("training", None, (*told.rates, (REFERENCE, 4.0)))
    assert RateBook(catalogue()).rate(with_base, "huawei-910b2", 1).value == pytest.approx(0.25)


def test_ended_jobs_come_between_what_is_measured_and_what_is_completed() -> None:
    """History decides where the table has no measurement, and nowhere else."""
    history, lm, resnet = ObservedRates(), Workload("training", "lm"), Workload("hpc", "resnet")
    book = table(history=history)
    before = book.rate(lm, "p100", 1)
    for workload in (lm, resnet):
        for name, run_s in (("v100", 100.0), ("p100", 500.0)):
            for _ in range(ENOUGH):
                history.note(workload, name, like="same", count=1, run_s=run_s)
    assert before.value == pytest.approx(0.25, rel=1e-3)
    assert book.rate(lm, "p100", 1).value == pytest.approx(0.2)
    assert "ended jobs of training/lm" in book.rate(lm, "p100", 1).source
    assert book.rate(resnet, "p100", 1).value == 0.25


def test_the_same_question_gets_the_same_answer() -> None:
    """A rate is worked out once: the same object comes back, whatever the size of the gang."""
    book = RateBook(catalogue())
    first = book.rate(TRAINING, "biren-br100", 1)
    assert book.rate(TRAINING, "biren-br100", 1) is first
    assert book.rate(Workload("training"), "biren-br100", 64) is first
