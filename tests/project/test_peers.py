"""Each contestant takes a step and draws digits; the timer and the table are what they say."""

import json
import sys
import time
from subprocess import CompletedProcess

import pytest
import torch

from benchmarks import peers


@pytest.mark.parametrize("name", peers.PEERS)
def test_each_learns_and_draws(name):
    make, package = peers.PEERS[name]
    pytest.importorskip(package)
    torch.manual_seed(0)
    contestant = make()
    x_0, labels = next(peers.batches(0))
    before = [weight.clone() for weight in contestant.network.parameters()]
    peers.step(contestant, x_0[:4], labels[:4])
    changed = zip(before, contestant.network.parameters(), strict=True)
    assert any(not torch.equal(was, now) for was, now in changed)
    digits = peers.drawn(contestant, contestant.network.eval(), 3)
    assert digits.shape == (3, 1, 28, 28)
    assert digits.isfinite().all()


def test_an_epoch_has_every_digit_at_most_once_and_each_epoch_another_order():
    images = [x_0 for (x_0, _), _ in zip(peers.batches(0), range(2 * (4500 // peers.BATCH)))]
    epochs = torch.cat(images).flatten(1).chunk(2)
    for epoch in epochs:
        assert len(epoch.unique(dim=0)) > 0.99 * len(epoch)
    assert not torch.equal(*epochs)
    assert not torch.equal(next(peers.batches(1))[0], images[0])


def test_training_ends_in_time_and_the_rate_with_it():
    rates = []

    def rate(share):
        rates.append(share)
        return 1 - share

    contestant = peers.minddpm(peers.RACERS["paper"])
    contestant.rate = rate
    start = time.perf_counter()
    average, images = peers.trained(contestant, 0.02, 0)
    assert time.perf_counter() - start >= 1.2
    assert images == average.updates * peers.BATCH
    assert rates == sorted(rates)
    assert rates[-1] < 1


def test_operations_of_both_directions_are_compared_with_one_product(monkeypatch):
    class Product(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(peers.SIDE, peers.SIDE))

    network = Product()
    inputs = torch.zeros(peers.SIDE, peers.SIDE)
    contestant = peers.Contestant(
        network,
        lambda x_0, labels: (inputs @ network.weight).sum(),
        torch.optim.SGD(network.parameters(), 0.0),
        lambda model, labels: inputs,
    )
    # if everything took a second: one product forward, and one for the gradient of the weights
    monkeypatch.setattr(peers, "seconds_of", lambda action, times=5: 1.0)
    assert peers.share_of_matmul(contestant) == pytest.approx(200)


def test_a_race_goes_on_where_it_stopped(monkeypatch, tmp_path, capsys):
    raced = []
    result = {"weights": 1000, "images": 64, "sure": 95.0, "frechet": 1.0, "x real": 2.5}
    result |= {"share": 50.0, "one": 0.1, "hundred": 2.0, "memory": 300, "import": 0.5}

    def run(command, **_):
        raced.append(command[command.index("--peers") + 1])
        return CompletedProcess(command, 0, f"something else\n{json.dumps(result)}\n")

    monkeypatch.setattr(peers.subprocess, "run", run)
    command = ["peers", "--runs", str(tmp_path), "--minutes", "1"]
    for names in (["smalldiffusion"], ["smalldiffusion", "minddpm, fast"]):
        monkeypatch.setattr(sys, "argv", [*command, "--peers", *names])
        peers.main()
    assert raced == ["smalldiffusion", "minddpm, fast"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last == "| minddpm, fast | 1,000 | 64 | 95.0 | 2.5 | yes | 50.0 | 0.1 | 2.0 | 300 | 0.5 |"
    )
