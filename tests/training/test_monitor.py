"""Honest numbers: of strokes that were not learnt from, with an interval, or none."""

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.data.sampler import Example
from napari_unet.data.source import ImageSource
from napari_unet.events import Corrected, Finished, StatesChanged, Step, Validated, Warned, WentBack
from napari_unet.prediction.predictor import Predictor
from napari_unet.training.holdout import Trial
from napari_unet.training.validation import Judge, mean_score
from napari_unet.training.watch import PLATEAU, Watch

AREAS = {"shape": (400, 410), "holdout": 0.5, "holdout_from": 2}


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr("napari_unet.training.monitor.EVERY", 4)
    monkeypatch.setattr("napari_unet.training.monitor.SHARE", 1e9)


def kinds(events, *wanted):
    return [event for event in events if isinstance(event, wanted)]


# ---------------------------------------------------------------------- the judge


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_judge_predicts_what_the_predictor_does(padding):
    model = ModelConfig(width=4, depth=2, padding=padding, classes=("a", "b", "c", "d"))
    torch.manual_seed(0)
    from napari_unet.networks import build_network

    network = build_network(model).eval()
    image = np.random.default_rng(0).random((200, 210))
    labels = Predictor(network, model, device="cpu").predict(ImageSource(image, "YX", 2))
    start, shape = (100, 70), (37, 41)
    truth = labels[100:137, 70:111].astype(np.int16) - 1
    trial = Trial("a", (), start, truth)
    table = Judge(model).confusion(network, {"a": Example(image, "YX", model)}, trial)
    assert np.trace(table) == table.sum() == np.prod(shape)
    assert len(set(truth.ravel().tolist())) > 1


def test_a_perfect_prediction_has_a_perfect_score():
    score, classes = Judge(ModelConfig()).scores([np.array([[5, 0], [0, 7]])] * 4)
    assert (score.value, score.low, score.high, score.pixels) == (1, 1, 1, 48)
    assert set(classes) == {"background", "cell"}
    assert classes["cell"].pixels == 28


def test_scores_are_those_of_the_pooled_pixels():
    tables = [np.array([[5, 1], [2, 7]]), np.array([[9, 0], [4, 1]]), np.array([[3, 3], [0, 2]])]
    score, classes = Judge(ModelConfig()).scores(tables)
    assert score.value == classes["cell"].value == pytest.approx(10 / (10 + 6 + 4))
    assert classes["background"].value == pytest.approx(17 / (17 + 4 + 6))
    assert score.low < score.value < score.high


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    judge, covered = Judge(ModelConfig()), 0
    for _ in range(60):
        quality = rng.beta(6, 2, size=20)
        tables = [np.array([[50, 0], [round(40 * (1 - q)), round(40 * q)]]) for q in quality]
        score, _ = judge.scores(tables)
        covered += score.low <= 0.75 <= score.high
    assert covered >= 48


@pytest.mark.parametrize("tables", [[np.eye(2, dtype=int)] * 2, [np.array([[4, 0], [0, 0]])] * 5])
def test_too_little_gives_no_score(tables):
    assert Judge(ModelConfig()).scores(tables)[0] is None


def test_the_mean_of_few_values_is_not_given():
    assert mean_score([0.5, 0.6], 9) is None
    score = mean_score([0.5, 0.6, 0.7], 9)
    assert 0.5 <= score.low <= score.value <= score.high <= 0.7


# ---------------------------------------------------------------------- in training


@pytest.mark.usefixtures("often")
def test_held_out_strokes_are_scored_with_an_interval(make_trainer):
    events = list(make_trainer(steps=9, **AREAS).run())
    found = kinds(events, Validated)
    assert [event.step for event in found] == [4, 8, 9]
    for event in found:
        assert event.score.low <= event.score.value <= event.score.high
        assert set(event.classes) == {"background", "cell"}
        assert event.areas >= 3
    assert [state.step for state in kinds(events, StatesChanged)[-1].states] == [4, 8, 9]
    assert found[0].best


@pytest.mark.usefixtures("often")
def test_scores_on_other_strokes_are_not_compared(make_trainer):
    trainer, scored = make_trainer(steps=12, **AREAS), []
    for event in trainer.run():
        if isinstance(event, Validated):
            scored.append(event)
        if isinstance(event, Step) and event.step == 5:
            book = trainer._monitor.holdout._books["a"]
            strokes = np.where((values := book._gather("values", (), (0, 0), (400, 410))) > 0, 3 - values, 0)
            trainer.set_strokes("a", strokes.astype(np.uint8))
    assert [event.step for event in scored] == [4, 8, 12]
    assert scored[1].best
    assert [state.score is None for state in trainer.states] == [True, False, False]


@pytest.mark.usefixtures("often")
def test_too_few_strokes_say_so_once_and_give_no_number(make_trainer):
    events = list(make_trainer(steps=12).run())
    (only,) = kinds(events, Validated)
    assert only.score is None
    assert only.classes == {}
    assert "too few strokes" in only.reason


def test_looking_costs_a_small_part_of_the_training(make_trainer):
    trainer = make_trainer(steps=1, **AREAS)
    list(trainer.run())
    monitor, plan = trainer._monitor, trainer._plan
    every = monitor._interval(plan, trainer.config)
    looked = monitor._judge.pixels(monitor._held_out())
    assert looked <= 0.1 * 3 * every * plan.batch * np.prod(plan.shape)


def test_new_strokes_are_scored_before_they_are_learnt(make_trainer):
    trainer = make_trainer(steps=8)
    events, seen = trainer.run(), []
    strokes = np.zeros((72, 80), np.uint8)
    for event in events:
        seen.append(event)
        if isinstance(event, Step) and event.step in (3, 5, 6):
            strokes[8 * event.step : 8 * event.step + 4, 10:40] = 1 + event.step % 2
            before = trainer.prediction_state()
            trainer.set_strokes("a", strokes)
            network = trainer.prediction_network()
            assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
            image = torch.from_numpy(
                trainer._sampler.examples["a"].normalizer(trainer._sampler.examples["a"].image[None])
            )
            with torch.no_grad():
                expected = network(image[None])[0].argmax(0).numpy()
            place = np.s_[8 * event.step : 8 * event.step + 4, 10:40]
            right = (expected[place] == event.step % 2).mean()
            news = trainer._monitor.news[-1]
            assert (news.step, news.pixels, news.key) == (event.step, 120, "a")
            assert news.right == pytest.approx(right)
    corrections = kinds(seen, Corrected)
    assert [event.number for event in corrections] == [1, 2, 3]
    assert [event.recent is None for event in corrections] == [True, True, False]
    assert corrections[2].recent.value == pytest.approx(np.mean([event.right for event in corrections]))
    order = [type(event).__name__ for event in seen]
    assert order[order.index("Corrected") - 1 : order.index("Corrected") + 2] == ["Step", "Corrected", "Step"]


def test_nothing_new_is_no_correction(make_trainer):
    trainer = make_trainer()
    list(trainer.run())
    strokes = np.where(np.random.default_rng(1).random((72, 80)) < 0.1, 1, 0).astype(np.uint8)
    strokes[5, 5] = 2
    trainer.set_strokes("a", strokes)
    trainer.set_strokes("a", strokes)
    trainer.set_strokes("a", np.where(np.arange(80) < 40, strokes, 0).astype(np.uint8))
    assert len(kinds(trainer.run(), Corrected)) == 1


@pytest.mark.usefixtures("often")
def test_training_that_no_longer_improves_ends_with_its_best_state(make_trainer):
    trainer = make_trainer(steps=400, patience=8, learning_rate=0.3, optimizer="sgd", momentum=0.0, ema=0.0, **AREAS)
    events = list(trainer.run())
    assert events[-1].reason == "converged"
    scored = {event.step: event.score.value for event in kinds(events, Validated)}
    best = max(scored, key=lambda step: (scored[step], -step))
    assert trainer.step == events[-1].step == best
    assert kinds(events, WentBack)[0].step == best


def test_without_held_out_strokes_it_ends_by_its_loss_and_says_so(make_trainer, monkeypatch):
    monkeypatch.setattr("napari_unet.training.monitor.EVERY", 2)
    trainer = make_trainer(steps=300, patience=6, learning_rate=1e-9)
    events = list(trainer.run())
    assert events[-1] == Finished("converged", trainer.step, events[-1].seconds)
    assert trainer.step < 300
    assert "its loss no longer falls" in kinds(events, Warned)[0].message
    assert not kinds(events, WentBack)


def test_a_plateau_halves_the_rate():
    watch = Watch()
    for step in range(0, 3 * PLATEAU, 50):
        watch.see(step, 0.5, is_score=True)
    assert watch.factor == 0.25
    assert watch.best_step == 0


def test_scores_and_losses_are_not_compared():
    watch = Watch()
    watch.see(10, 0.3, is_score=False)
    watch.see(20, 0.1, is_score=True)
    assert (watch.best, watch.best_step) == (0.1, 20)
