"""Each contestant takes a step and draws digits; the timer and the table are what they say."""

import json
import sys
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


def test_training_sees_so_many_images_and_the_rate_falls():
    rates = []

    def rate(share):
        rates.append(share)
        return 1 - share

    contestant = peers.minddpm(peers.RACERS["paper"])
    contestant.rate = rate
    average = peers.trained(contestant, 4 * peers.BATCH + 5, 0)
    assert average.updates == 4
    assert rates == [0, 0.25, 0.5, 0.75]


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
    assert peers.of_training(contestant) == {
        "a minute": 60 * peers.TRIAL_STEPS * peers.BATCH,
        "share": 200,
    }


def test_a_race_goes_on_where_it_stopped(monkeypatch, tmp_path, capsys):
    asked = []
    cost = {"weights": 1000, "a minute": 300, "share": 50.0, "one": 0.1, "hundred": 2.0}
    cost |= {"memory": 300, "import": 0.5}

    def run(command, **_):
        name = command[command.index("--peers") + 1]
        if "--costs" in command:
            asked.append(f"costs of {name}")
            return CompletedProcess(command, 0, f"something else\n{json.dumps(cost)}\n")
        images = int(command[command.index("--images") + 1])
        asked.append(f"{name}, {images}")
        result = {"images": images, "sure": 95.0, "frechet": 1.0, "x real": 2.5}
        return CompletedProcess(command, 0, f"something else\n{json.dumps(result)}\n")

    monkeypatch.setattr(peers.subprocess, "run", run)
    command = ["peers", "--runs", str(tmp_path), "--minutes", "1", "5"]
    for names in (["smalldiffusion"], ["smalldiffusion", "minddpm, fast"]):
        monkeypatch.setattr(sys, "argv", [*command, "--peers", *names])
        peers.main()
    assert asked == [
        "costs of smalldiffusion",
        *("smalldiffusion, 300", "smalldiffusion, 1500"),
        "costs of minddpm, fast",
        *("minddpm, fast, 300", "minddpm, fast, 1500"),
    ]
    last = capsys.readouterr().out.splitlines()[-1]
    costs = "50.0 | 0.1 | 2.0 | 300 | 0.5"
    assert last == f"| minddpm, fast | 1,000 | 5 | 1,500 | 95.0 | 2.5 | yes | {costs} |"
