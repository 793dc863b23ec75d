"""Every mistake that a target can hold is one sentence that says what to change."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from auditor.core.errors import TargetError
from auditor.targets.load import load_target
from tests.targets.projects import LINEAR, document

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (80, 6, 6), dtype=np.uint8)
LABELS = np.arange(80) % 4
DATA: dict[str, Any] = {"path": "d.npz", "inputs": "images", "labels": "labels"}


def arrays(folder: Path, **changed: Any) -> None:
    np.savez(folder / "d.npz", **{"images": PICTURES, "labels": LABELS, **changed})


def refusal(folder: Path, *, code: str = LINEAR, data: dict[str, Any] | None = None, **given: Any) -> str:
    with pytest.raises(TargetError) as caught:
        load_target(document(folder, code=code, data={**DATA, **(data or {})}, **given))
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


class TestModel:
    @pytest.mark.parametrize(
        ("code", "sentence"),
        [
            (
                "from torch import nn\ndef make():\n    return nn.Linear(36, 4)\n",
                "target.model: target.py has no 'build'. Define `def build(): ...` there, or name another function.",
            ),
            ("build = 5\n", "target.model: 'build' in target.py is a int, not a function."),
            ("def build():\n    return 5\n", "target.model: target.py:build returned int, not a torch.nn.Module."),
            (
                "def build():\n    x = 1\n    return missing\n",
                "target.py:build failed at line 3: NameError: name 'missing' is not defined",
            ),
            ("import nothing_of_this_name\n", "target.py:build failed at line 1: ModuleNotFoundError: No module named"),
            ("def build(:\n", "target.py:build failed at line 1: SyntaxError: "),
            ("raise SystemExit(3)\n", "target.py:build failed at line 1: SystemExit: 3"),
            (
                "def build(secret):\n    pass\n",
                "target.py:build requires 'secret', which the tool does not know. Give it a default; input_shape, "
                "features, classes, vocabulary may be required",
            ),
            ("from torch import nn\nbuild = nn.Linear(36, 4)\n", "target.py:build is a model that is built already."),
            (
                "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(30, 4))\n",
                "the model does not accept the data. A batch of shape (5, 1, 6, 6): RuntimeError: mat1 and mat2 "
                "shapes cannot be multiplied (5x36 and 30x4).",
            ),
            (
                "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))\n",
                "target.data.labels: the data has 4 classes, but the model has 3 outputs. Give the last layer one "
                "output for each class (logits)",
            ),
            (
                "from torch import nn\nclass build(nn.Linear):\n    def __init__(self):\n"
                "        super().__init__(36, 4)\n    def forward(self, x):\n        return {'logits': x}\n",
                "the model returns dict, not one tensor",
            ),
            (
                "from torch import nn\ndef build():\n    m = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))\n"
                "    return m.requires_grad_(False)\n",
                "target.model: no gradient reaches any parameter: the model is frozen. Set requires_grad=True",
            ),
            (
                "import torch\nfrom torch import nn\nclass build(nn.Module):\n    def __init__(self):\n"
                "        super().__init__()\n        self.l = nn.Linear(36, 4)\n    def forward(self, x):\n"
                "        with torch.no_grad():\n            return self.l(x.flatten(1))\n",
                "target.model: no gradient reaches any parameter: the model is frozen.",
            ),
            (
                "import torch\nfrom torch import nn\nclass build(nn.Module):\n    def __init__(self):\n"
                "        super().__init__()\n        self.l = nn.Linear(36, 4)\n    def forward(self, x):\n"
                "        return torch.log(self.l(x.flatten(1)) - 1e9)\n",
                "target.model: the loss of the first batch is nan, so the model cannot be trained on this data.",
            ),
        ],
    )
    def test_sentence(self, tmp_path: Path, code: str, sentence: str) -> None:
        arrays(tmp_path)
        found = refusal(tmp_path, code=code)
        assert found.startswith("audit.yaml:")
        assert sentence in found

    def test_missing_file_and_module(self, tmp_path: Path) -> None:
        arrays(tmp_path)
        found = refusal(tmp_path, target={"model": "modle.py:build"})
        assert "target.model: there is no file 'modle.py' in " in found
        assert "no module 'no_such_package'" in refusal(tmp_path, target={"model": "no_such_package.nets:build"})
        assert "there is no file 'm.pt2'" in refusal(tmp_path, target={"model": "m.pt2"})

    def test_batch_norm_under_dp_sgd(self, tmp_path: Path) -> None:
        arrays(tmp_path)
        code = (
            "from torch import nn\ndef build():\n"
            "    return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(36, 4))\n"
        )
        privacy = {
            "mechanism": "dp_sgd",
            "protects": "record",
            "adjacency": "add_or_remove",
            "noise_multiplier": 1.0,
            "clipping": {"norm": 1.0},
            "sampling": "poisson",
            "delta": 1e-5,
        }
        found = refusal(tmp_path, code=code, privacy=privacy)
        assert "a layer such as BatchNorm mixes the records of a batch, so DP-SGD cannot bound a single record" in found
        federation = {"algorithm": "fedavg", "clients": 2, "batch_norm": "eval"}
        load_target(document(tmp_path, code=code, data=DATA, privacy=privacy, federation=federation))

    def test_loss_of_the_user(self, tmp_path: Path) -> None:
        arrays(tmp_path)
        code = LINEAR + "def loss(outputs, labels):\n    return outputs\n"
        assert "target.py:loss returned (5, 4) for 5 records. Return one loss for each record" in refusal(
            tmp_path, code=code, target={"loss": "target.py:loss"}
        )


class TestArrays:
    def test_missing(self, tmp_path: Path) -> None:
        found = refusal(tmp_path)
        assert found.startswith("audit.yaml:")
        assert "target.data.path: there is no file 'd.npz' in " in found
        assert "Paths are relative to the folder of the audit file." in found

    @pytest.mark.parametrize(
        ("changed", "data", "sentence"),
        [
            ({}, {"inputs": "image"}, "d.npz has no 'image'; did you mean 'images'?; it has images, labels."),
            ({}, {"labels": "label"}, "d.npz has no 'label'; did you mean 'labels'? It has images, labels."),
            ({"labels": LABELS[:70]}, {}, "'images' has 80 records but 'labels' has 70."),
            ({"labels": np.zeros(80, int)}, {}, "every record has the same label, so there is one class only."),
            ({"labels": LABELS / 3}, {}, "the labels are fractions, which are no classes. Write task: regression"),
            (
                {"labels": np.where(LABELS == 1, np.nan, LABELS)},
                {},
                "20 records have no label. Give each a label, or leave them out.",
            ),
            ({"images": np.full((80, 6, 6), np.nan)}, {}, "the inputs hold values that are not finite"),
            ({"images": PICTURES.astype("U3")}, {}, "pictures of shape (80, 6, 6) and type <U3 cannot be read."),
            (
                {},
                {"normalise": {"mean": [0.5] * 3, "std": [1.0] * 3}},
                "target.data.normalise: 3 means for data with 1 channel.",
            ),
            (
                {},
                {"members": {"split": "train"}, "nonmembers": {"split": "test"}},
                "target.data.members: names split 'train', but the data has no split column or array.",
            ),
            (
                {"split": np.where(LABELS > 1, "train", "test")},
                {"members": {"split": "trian"}, "nonmembers": {"split": "test"}},
                "target.data.members: no record has split 'trian'; did you mean 'train'? The splits are 'test' or "
                "'train'.",
            ),
            (
                {},
                {"members": {"count": 60}, "nonmembers": {"count": 60}},
                "target.data.nonmembers: asks for 60 records, but 20 different ones are left.",
            ),
            ({"images": np.array(5)}, {}, "'images' in d.npz is a single value, not one entry for each record."),
            (
                {"images": PICTURES[:2], "labels": LABELS[:2]},
                {},
                "1 different members are left; at least 2 are needed.",
            ),
            ({}, {"split_by": "fold"}, "target.data.split_by: d.npz has no 'fold'."),
            (
                {"images": np.concatenate([PICTURES[:40], PICTURES[:40]]), "split": np.repeat(["a", "b"], 40)},
                {"members": {"split": "a"}, "nonmembers": {"split": "b"}},
                "Every non-member is also a member, so membership cannot be tested. Name records that did not train",
            ),
        ],
    )
    def test_sentence(self, tmp_path: Path, changed: dict[str, Any], data: dict[str, Any], sentence: str) -> None:
        arrays(tmp_path, **changed)
        assert sentence in refusal(tmp_path, data=data)

    def test_objects_are_never_unpickled(self, tmp_path: Path) -> None:
        class Runs:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                import os

                return os.mkdir, (str(tmp_path / "ran"),)

        arrays(tmp_path, images=np.array([Runs()] * 80, dtype=object))
        assert "d.npz holds Python objects, which may run code and are not opened" in refusal(tmp_path)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
    def test_damaged(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "d.npz").write_bytes(content)
        assert "target.data.path: d.npz is damaged or not what its name says" in refusal(tmp_path)

    def test_kind(self, tmp_path: Path) -> None:
        (tmp_path / "d.pkl").write_bytes(b"x")
        assert "'d.pkl' is of a kind that cannot be read. Allowed: .npz" in refusal(tmp_path, data={"path": "d.pkl"})


class TestTables:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "t.csv holds no records"),
            ("a,b,y\n", "t.csv holds no records"),
            ("a,b,y\n1,2,x\n1,2\n", "record 2 of t.csv has 2 cells, not 3."),
            ("a,a,y\n1,2,x\n", "t.csv has two columns called 'a'."),
            ("a,b,z\n1,2,x\n3,4,y\n", "t.csv has no 'y'. It has a, b, z."),
            ("y\nx\nz\n", "t.csv has no column beside the label and the split, so there are no inputs."),
            ("a,b,y\n1,,x\n3,,y\n", "column 'b' holds no value at all. Leave it out"),
            (
                "a,b,y\n" + "".join(f"1,{'<0.2' if i == 3 else i},{i % 2}\n" for i in range(60)),
                "column 'b' holds numbers, but 1 of 60 cells are none. Write numbers with a point",
            ),
            (
                "a;b;y\n" + "".join(f"1;{i},5;{i % 2}\n" for i in range(60)),
                "column 'b' has decimal commas. Write numbers with a point",
            ),
            (
                "a,b,y\n" + "".join(f"1,person {i},{i % 2}\n" for i in range(600)),
                "column 'b' is text with 600 different values (at most 500). Names and keys are no inputs of a table",
            ),
        ],
    )
    def test_sentence(self, tmp_path: Path, text: str, sentence: str) -> None:
        (tmp_path / "t.csv").write_text(text)
        data = {"path": "t.csv", "inputs": None, "labels": "y"}
        assert sentence in refusal(tmp_path, data=data, target={"modality": "tabular"})

    def test_label_among_the_inputs(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,y\n1,x\n2,z\n")
        data = {"path": "t.csv", "inputs": ["a", "y"], "labels": "y"}
        found = refusal(tmp_path, data=data, target={"modality": "tabular"})
        assert "'y' is named as input, but it is the label or the split." in found

    def test_cut_gzip(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,y\n1,2\n" * 1000)[:20])
        data = {"path": "t.csv.gz", "inputs": None, "labels": "y"}
        assert "t.csv.gz is damaged" in refusal(tmp_path, data=data, target={"modality": "tabular"})


class TestText:
    @pytest.mark.parametrize(
        ("line", "code", "data", "sentence"),
        [
            ('{"text": "a b"', "", {}, "line 1 of t.jsonl is not JSON (Expecting ',' delimiter)"),
            ("[1, 2]", "", {}, "line 1 of t.jsonl is not a JSON object."),
            (
                '{"text": "a b", "label": 1}',
                "",
                {},
                "target.data.inputs: the inputs are text, and no tokenizer is named. Add tokenizer: FILE.py:callable",
            ),
            (
                '{"text": "a b", "label": 1}',
                "def tok(text):\n    return text.split()\n",
                {"tokenizer": "target.py:tok"},
                "target.data.tokenizer: expected a list of token ids for each text, received list",
            ),
            (
                '{"text": "a b", "label": 1}',
                "def tok(text):\n    return {}[text]\n",
                {"tokenizer": "target.py:tok"},
                "target.py:tok failed at line 2: KeyError",
            ),
            (
                "".join(f'{{"text": [{i}, 900], "label": {i % 2}}}\n' for i in range(9)),
                "from torch import nn\nclass build(nn.Module):\n    def __init__(self):\n"
                "        super().__init__()\n        self.e = nn.Embedding(10, 4)\n        self.l = nn.Linear(4, 2)\n"
                "    def forward(self, x):\n        return self.l(self.e(x).mean(1))\n",
                {},
                "the data holds token id 900, but the model's embedding has 10 rows.",
            ),
        ],
    )
    def test_sentence(self, tmp_path: Path, line: str, code: str, data: dict[str, Any], sentence: str) -> None:
        (tmp_path / "t.jsonl").write_text(line + "\n")
        data = {"path": "t.jsonl", "inputs": "text", "labels": "label", **data}
        assert sentence in refusal(tmp_path, code=code, data=data, target={"modality": "text"})


class TestFolders:
    def pictures(self, folder: Path, **sizes: int) -> None:
        for name, size in sizes.items():
            file = folder / "p" / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(f"{file}.png")

    @pytest.mark.parametrize(
        ("sizes", "sentence"),
        [
            ({}, "there are no images in p/. Put them into one sub-folder for each class"),
            ({"one": 4}, "the images in p/ do not lie in folders of one depth. Use CLASS/picture.png"),
            ({"a__one": 4, "a__two": 5}, "a/two.png is 5x5, but a/one.png is 4x4. Bring all images to the size"),
            ({"a__one": 4, "a__two": 4}, "every record has the same label, so there is one class only."),
        ],
    )
    def test_sentence(self, tmp_path: Path, sizes: dict[str, int], sentence: str) -> None:
        (tmp_path / "p").mkdir()
        self.pictures(tmp_path, **sizes)
        data = {"path": "p", "inputs": None, "labels": None}
        code = "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2))\n"
        more = {} if sizes != {"a__one": 4, "a__two": 4} else {"members": {"count": 1}, "nonmembers": {"count": 1}}
        if more:
            self.pictures(tmp_path, a__three=4, a__four=4)
            more = {"members": {"count": 2}, "nonmembers": {"count": 2}}
        assert sentence in refusal(tmp_path, code=code, data={**data, **more})

    def test_damaged_picture(self, tmp_path: Path) -> None:
        self.pictures(tmp_path, a__one=4, b__two=4)
        (tmp_path / "p" / "a" / "three.png").write_bytes(b"no picture")
        found = refusal(tmp_path, data={"path": "p", "inputs": None, "labels": None})
        assert "a/three.png is damaged or no image. Remove or replace it." in found
