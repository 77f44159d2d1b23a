"""Sharing a UNet as Hugging Face's hub does, and importing its package only then."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from minddpm import hub
from minddpm.unet import UNet, UNetConfig

CONFIG = UNetConfig(image_channels=3, channels=(8, 16), time_dim=8, groups=4, classes=2)
huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = UNet(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_network_goes_to_a_folder_and_back(tmp_path, model):
    model.save_pretrained(tmp_path / "shared")
    names = sorted(path.name for path in (tmp_path / "shared").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    back = UNet.from_pretrained(tmp_path / "shared")
    assert type(back) is UNet
    assert back.config == CONFIG
    assert not back.training
    assert same(back, model)
    assert load_file(tmp_path / "shared" / "model.safetensors").keys() == model.state_dict().keys()


def test_the_default_network_goes_there_too(tmp_path):
    UNet().save_pretrained(tmp_path)
    assert UNet.from_pretrained(tmp_path).config == UNetConfig()


def test_what_came_back_is_a_network_like_any_other(tmp_path, model):
    model.save_pretrained(tmp_path / "once")
    back = UNet.from_pretrained(tmp_path / "once")
    assert same(copy.deepcopy(back), model)
    assert same(pickle.loads(pickle.dumps(back)), model)
    back.save_pretrained(tmp_path / "twice")
    assert same(UNet.from_pretrained(tmp_path / "twice"), model)


def test_sharing_changes_nothing_in_the_network(tmp_path, model):
    before = dict(vars(model))
    model.save_pretrained(tmp_path)
    assert type(model) is UNet
    assert vars(model) == before


def test_missing_weights_are_refused(tmp_path, model):
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["stem.weight"]
    from safetensors.torch import save_file

    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="stem.weight"):
        UNet.from_pretrained(tmp_path)


def test_pushing_uploads_the_folder(model, monkeypatch):
    seen = {}

    class Api:
        def __init__(self, token=None):
            seen["token"] = token

        def create_repo(self, repo_id, **_):
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, repo_id, folder_path, **_):
            seen["to"] = repo_id
            seen["files"] = sorted(path.name for path in folder_path.iterdir())
            return "address"

    monkeypatch.setattr(sys.modules["huggingface_hub.hub_mixin"], "HfApi", Api)
    assert model.push_to_hub("me/digits", token="secret") == "address"
    assert seen == {
        "token": "secret",
        "to": "me/digits",
        "files": ["README.md", "config.json", "model.safetensors"],
    }


def test_without_huggingface_hub_the_error_says_what_to_install(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        model.save_pretrained(tmp_path)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        UNet.from_pretrained(tmp_path)


def test_the_class_for_the_hub_is_both():
    shared = hub.with_hub(UNet)
    assert issubclass(shared, UNet)
    assert issubclass(shared, huggingface_hub.PyTorchModelHubMixin)


@pytest.mark.parametrize(
    "name", ["huggingface_hub", "pooch", "requests", "PIL", "matplotlib", "IPython"]
)
def test_importing_the_library_stays_light(name):
    code = f"import sys, minddpm; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_library_brings_no_progress_bar_of_its_own():
    # PyTorch imports tqdm itself
    code = "import sys, torch; before = 'tqdm' in sys.modules; import minddpm;"
    code += "sys.exit(('tqdm' in sys.modules) > before)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
