"""Ways in which people keep data and write models: what is accepted, and that it means what it should."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from auditor.core.shape import Modality
from auditor.targets.load import load_target
from auditor.targets.target import Target
from tests.targets.projects import CONV, LINEAR, document

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (60, 12, 12), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (60, 12, 10, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def loaded(folder: Path, *, code: str = LINEAR, modality: str = "image", data: dict[str, Any], **target: Any) -> Target:
    return load_target(document(folder, code=code, data=data, target={"modality": modality, **target}))


def from_code(folder: Path, body: str, *, build: str = LINEAR, modality: str = "image", **data: Any) -> Target:
    """A target whose data come from ``target.py:data``."""
    code = f"{build}\nimport numpy as np\nrng = np.random.default_rng(3)\ndef data():\n    {body}\n"
    return loaded(folder, code=code, modality=modality, data={"path": "target.py:data", **data})


def every_record(target: Target) -> torch.Tensor:
    return torch.cat([target.members.inputs, target.nonmembers.inputs, target.population.inputs])


class TestPictures:
    @pytest.mark.parametrize(
        ("pictures", "shape"),
        [
            (GREY, (1, 12, 12)),
            (GREY[:, None], (1, 12, 12)),
            (GREY[..., None], (1, 12, 12)),
            (GREY.reshape(60, -1), (1, 12, 12)),
            (COLOUR, (3, 12, 10)),
            (COLOUR.transpose(0, 3, 1, 2), (3, 12, 10)),
            (COLOUR[:, :10].reshape(60, -1), (3, 10, 10)),
        ],
    )
    def test_layouts_end_as_the_model_wants_them(
        self, tmp_path: Path, pictures: np.ndarray, shape: tuple[int, ...]
    ) -> None:
        np.savez(tmp_path / "d.npz", images=pictures, labels=LABELS)
        data = {"path": "d.npz", "inputs": "images", "labels": "labels"}
        target = loaded(tmp_path, code=CONV.format(channels=shape[0]), data=data)
        assert target.model.shape.input_shape == shape
        found = every_record(target)
        assert (float(found.min()), float(found.max())) == (0.0, 1.0)
        if pictures is COLOUR:
            originals = {picture.transpose(2, 0, 1).tobytes() for picture in COLOUR}
            assert {(record * 255).round().numpy().astype(np.uint8).tobytes() for record in found} == originals

    @pytest.mark.parametrize(
        ("pictures", "top", "unit"),
        [
            (GREY, 1.0, True),
            (GREY.astype(np.int64), 1.0, True),
            (GREY.astype(np.float64), 1.0, True),
            (GREY.astype(np.uint16) * 257, 1.0, True),
            (GREY / 255.0, 1.0, True),
            (GREY.astype(np.float32) / 16, 255 / 16, False),
            (GREY > 127, 1.0, True),
        ],
    )
    def test_pixel_ranges(self, tmp_path: Path, pictures: np.ndarray, top: float, unit: bool) -> None:
        np.savez(tmp_path / "d.npz", x=pictures, y=LABELS)
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "x", "labels": "y"})
        assert float(every_record(target).max()) == pytest.approx(top)
        assert target.model.preprocessing.low == ((0.0,) if unit else ())

    def test_normalised_box(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=GREY, y=LABELS)
        normalise = {"mean": [0.5], "std": [0.25]}
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "x", "labels": "y", "normalise": normalise})
        assert target.model.preprocessing.low == (-2.0,)
        assert target.model.preprocessing.high == (2.0,)
        assert float(every_record(target).min()) == -2.0

    def test_grey_pictures_for_a_colour_model(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=GREY, y=LABELS)
        target = loaded(tmp_path, code=CONV.format(channels=3), data={"path": "d.npz", "inputs": "x", "labels": "y"})
        assert target.model.shape.input_shape == (3, 12, 12)
        assert any("grey channel repeated three times" in fact for fact in target.facts)

    @pytest.mark.parametrize("names", [("train_images", "train_labels"), ("images_train", "labels_train")])
    def test_one_array_a_split(self, tmp_path: Path, names: tuple[str, str]) -> None:
        images, labels = names
        np.savez(
            tmp_path / "d.npz",
            **{images: GREY[:40], labels: LABELS[:40]},
            **{images.replace("train", "test"): GREY[40:], labels.replace("train", "test"): LABELS[40:]},
        )
        data = {
            "path": "d.npz",
            "inputs": "images",
            "labels": "labels",
            "members": {"split": "train"},
            "nonmembers": {"split": "test"},
        }
        target = loaded(tmp_path, data=data)
        assert len(target.members) == 40
        assert len(target.nonmembers) + len(target.population) == 20
        assert target.splits[0].drawn_by == "the settings: split 'train'"

    @pytest.mark.parametrize("splits", [True, False])
    def test_folder(self, tmp_path: Path, splits: bool) -> None:
        for index, picture in enumerate(GREY):
            parts = (("train" if index < 40 else "test"),) if splits else ()
            folder = tmp_path.joinpath("pictures", *parts, f"class {LABELS[index]}")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{index}.png")
        (tmp_path / "pictures" / ".DS_Store").write_bytes(b"x")
        roles = {"members": {"split": "train"}, "nonmembers": {"split": "test"}} if splits else {}
        target = loaded(tmp_path, data={"path": "pictures", **roles})
        assert target.model.shape.input_shape == (1, 12, 12)
        assert target.model.shape.classes == 3
        assert len(target.members) == (40 if splits else 24)

    def test_pixels_in_the_columns_of_a_table(self, tmp_path: Path) -> None:
        header = ",".join(["label", *(f"pixel{i}" for i in range(144))])
        rows = [",".join(map(str, [LABELS[i], *GREY[i].ravel()])) for i in range(60)]
        (tmp_path / "d.csv").write_text("\n".join([header, *rows]))
        target = loaded(tmp_path, code=CONV.format(channels=1), data={"path": "d.csv", "labels": "label"})
        assert target.model.shape.input_shape == (1, 12, 12)
        assert float(every_record(target).max()) == 1.0

    def test_parquet_of_a_data_set_hub(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        import io

        encoded = []
        for picture in GREY:
            Image.fromarray(picture).save(buffer := io.BytesIO(), format="PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        pq.write_table(pa.table({"image": encoded, "label": LABELS.tolist()}), tmp_path / "d.parquet")
        target = loaded(tmp_path, data={"path": "d.parquet", "inputs": "image", "labels": "label"})
        assert target.model.shape.input_shape == (1, 12, 12)


class TestTables:
    def frame(self, folder: Path, name: str, text: str, **data: Any) -> Target:
        raw = text.encode("latin-1") if "é" in text else text.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return loaded(folder, modality="tabular", data={"path": name, **data})

    @pytest.mark.parametrize(
        ("name", "separator", "header"),
        [
            ("d.csv", ",", True),
            ("d.csv", ";", True),
            ("d.tsv", "\t", True),
            ("d.csv.gz", ", ", True),
            ("d.txt", " ", False),
            ("d.data", ",", False),
        ],
    )
    def test_separators_and_headers(self, tmp_path: Path, name: str, separator: str, header: bool) -> None:
        rows = [[f"{i * 0.5}", str(i * i), str(i % 2 + 1)] for i in range(40)]
        lines = [separator.join(row) for row in ([["a", "b", "y"], *rows] if header else rows)]
        target = self.frame(tmp_path, name, "\n".join(lines) + "\n", labels="y" if header else "2")
        assert target.model.shape.input_shape == (2,)
        assert target.model.shape.classes == 2
        assert set(target.members.labels.tolist()) == {0, 1}
        assert [column.name for column in target.model.preprocessing.columns] == (["a", "b"] if header else ["0", "1"])

    def test_text_without_a_header_is_named_by_place(self, tmp_path: Path) -> None:
        rows = "".join(f"{i},{'red' if i % 3 else 'blue'},{'yes' if i % 2 else 'no'}\n" for i in range(40))
        target = self.frame(tmp_path, "d.csv", rows, labels="2")
        assert target.model.shape.input_shape == (3,)
        assert len(every_record(target)) == 40

    def test_missing_values(self, tmp_path: Path) -> None:
        rows = "".join(
            f"{'?' if i % 10 == 0 else i},{'' if i % 5 == 0 else 'abc'[i % 3]},{i},{i % 2}\n" for i in range(60)
        )
        target = self.frame(tmp_path, "d.csv", "n,t,k,y\n" + rows, labels="y")
        assert "n: 6 missing numbers replaced by the median of the population split" in target.facts
        assert "t: 12 missing values are a category of their own" in target.facts
        assert target.model.shape.input_shape == (1 + 4 + 1,)
        assert torch.isfinite(every_record(target)).all()
        fills = every_record(target)[:, 0].mode().values
        assert float(fills) == float(np.median(list(self._known(target))))

    def _known(self, target: Target) -> list[float]:
        """Numbers of the population that the file holds (column k repeats n where it is known)."""
        return [float(row[0]) for row in target.population.inputs if float(row[5]) % 10]

    def test_latin_text_and_quotes(self, tmp_path: Path) -> None:
        rows = "".join(f'{i},"{"Orléans, Loiret" if i % 2 else "Paris"}",{i % 2}\n' for i in range(30))
        target = self.frame(tmp_path, "d.csv", "n,town,y\n" + rows, labels="y")
        assert target.model.shape.input_shape == (3,)
        assert "d.csv is not UTF-8; read as Latin-1" in target.facts

    def test_constant_column_is_only_centred(self, tmp_path: Path) -> None:
        rows = "".join(f"7,{i},{i % 2}\n" for i in range(30))
        target = self.frame(tmp_path, "d.csv", "c,n,y\n" + rows, labels="y", normalise="standardise")
        assert every_record(target)[:, 0].abs().max() == 0
        assert target.model.preprocessing.columns[0].scale == 1.0

    def test_chosen_columns_and_categories(self, tmp_path: Path) -> None:
        rows = "".join(f"{i},{i % 3},{i % 7},{i % 2}\n" for i in range(40))
        target = self.frame(
            tmp_path, "d.csv", "id,region,n,y\n" + rows, labels="y", inputs=["region", "n"], categorical=["region"]
        )
        kinds = [(c.name, c.kind, c.stop - c.start) for c in target.model.preprocessing.columns]
        assert kinds == [("region", "categorical", 3), ("n", "continuous", 1)]

    def test_structured_arrays_and_dates(self, tmp_path: Path) -> None:
        rows = np.zeros(40, dtype=[("a", "f4"), ("day", "datetime64[D]")])
        rows["a"], rows["day"] = np.arange(40), np.datetime64("2026-01-01") + np.arange(40)
        np.savez(tmp_path / "d.npz", rows=rows, y=np.arange(40) % 2)
        target = loaded(tmp_path, modality="tabular", data={"path": "d.npz", "inputs": "rows", "labels": "y"})
        records = every_record(target)
        assert [column.name for column in target.model.preprocessing.columns] == ["a", "day"]
        assert torch.equal(
            records[:, 1] - records[:, 0], torch.full((40,), float(np.datetime64("2026-01-01").astype(int)))
        )

    def test_one_file_a_split(self, tmp_path: Path) -> None:
        (tmp_path / "tables").mkdir()
        for name, start in (("train", 0), ("test", 100)):
            rows = "".join(f"{start + i},{i % 2}\n" for i in range(30))
            (tmp_path / "tables" / f"{name}.csv").write_text("n,y\n" + rows)
        data = {"path": "tables", "labels": "y", "members": {"split": "train"}, "nonmembers": {"split": "test"}}
        target = loaded(tmp_path, modality="tabular", data=data)
        assert float(target.members.inputs.max()) == 29
        assert float(target.nonmembers.inputs.min()) >= 100

    def test_json_lines_and_parquet(self, tmp_path: Path) -> None:
        records = [{"n": i / 2, "ok": i % 4 == 0, "c": "ab"[i % 2], "y": i % 2} for i in range(40)]
        (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, records)))
        first = loaded(tmp_path, modality="tabular", data={"path": "d.jsonl", "labels": "y"})
        assert first.model.shape.input_shape == (4,)
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "d.parquet")
        second = loaded(tmp_path, modality="tabular", data={"path": "d.parquet", "labels": "y"})
        assert [split.sha256 for split in first.splits] == [split.sha256 for split in second.splits]

    def test_parquet_without_its_reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys

        from auditor.core.errors import TargetError

        (tmp_path / "d.parquet").write_bytes(b"PAR1")
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(TargetError, match="needs the package pyarrow, which is not installed"):
            loaded(tmp_path, modality="tabular", data={"path": "d.parquet", "labels": "y"})

    def test_groups_by_column(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").write_text("site,n,y\n" + "".join(f"s{i % 3},{i},{i % 2}\n" for i in range(60)))
        federation = {"algorithm": "fedavg", "clients": 4, "partition": {"scheme": "by_column", "column": "site"}}
        data = {"path": "d.csv", "labels": "y", "inputs": ["n"]}
        target = load_target(
            document(tmp_path, code=LINEAR, data=data, target={"modality": "tabular"}, federation=federation)
        )
        assert target.member_groups is not None
        assert [int(n) % 3 for n in target.members.inputs[:, 0]] == target.member_groups.tolist()
        assert any("has 3 values among the members, but federation.clients is 4" in w for w in target.warnings)


class TestSeries:
    @pytest.mark.parametrize(
        ("shape", "model", "wanted"),
        [
            ((60, 50), "nn.Conv1d(1, 4, 5)", (1, 50)),
            ((60, 50, 3), "nn.Conv1d(3, 4, 5)", (3, 50)),
            ((60, 3, 50), "nn.Conv1d(3, 4, 5)", (3, 50)),
        ],
    )
    def test_channels(self, tmp_path: Path, shape: tuple[int, ...], model: str, wanted: tuple[int, ...]) -> None:
        np.savez(tmp_path / "d.npz", series=RNG.normal(5, 2, shape), labels=LABELS)
        code = (
            "from torch import nn\ndef build():\n"
            f"    return nn.Sequential({model}, nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(8, 3))\n"
        )
        data = {"path": "d.npz", "inputs": "series", "labels": "labels", "normalise": "standardise"}
        target = loaded(tmp_path, code=code, modality="timeseries", data=data)
        assert target.model.shape.input_shape == wanted
        population = target.population.inputs
        assert torch.allclose(population.mean((0, 2)), torch.zeros(wanted[0]), atol=1e-4)
        assert torch.allclose(population.std((0, 2)), torch.ones(wanted[0]), atol=1e-2)
        assert target.model.preprocessing.low == ()

    def test_archive_text_format(self, tmp_path: Path) -> None:
        """White space, no header, class first: as the UCR archive keeps its series."""
        rows = [" ".join([f"{LABELS[i] + 1}", *(f"{v:.4f}" for v in RNG.normal(size=20))]) for i in range(60)]
        (tmp_path / "d.txt").write_text("\n".join(rows))
        target = loaded(tmp_path, modality="timeseries", data={"path": "d.txt", "labels": "0"})
        assert target.model.shape.input_shape == (20,)
        assert target.members.labels.min() == 0
        assert "3 labels are numbered in ascending order from 0" in target.facts


class TestText:
    READER = """
from torch import nn
class build(nn.Module):
    def __init__(self):
        super().__init__()
        self.positions = nn.Embedding(6, 4)
        self.words = nn.Embedding(50, 4)
        self.out = nn.Linear(4, 2)
    def forward(self, tokens):
        import torch
        return self.out((self.words(tokens) + self.positions(torch.arange(tokens.shape[1]))).mean(1))
def tokenize(text):
    return [1 + len(word) for word in text.split()]
"""

    @pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.jsonl.gz"])
    def test_sentences(self, tmp_path: Path, name: str) -> None:
        texts = [" ".join("ab" * (1 + (i * k) % 5) for k in range(1, 2 + i % 9)) for i in range(60)]
        if name == "d.csv":
            text = "text,label\n" + "".join(f"{t},{'pos' if i % 2 else 'neg'}\n" for i, t in enumerate(texts))
        else:
            lines = [json.dumps({"text": t, "label": "pos" if i % 2 else "neg"}) for i, t in enumerate(texts)]
            text = "\n".join(lines)
        raw = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
        data = {"path": name, "labels": "label", "tokenizer": "target.py:tokenize", "max_tokens": 6}
        target = loaded(tmp_path, code=self.READER, modality="text", data=data)
        assert target.model.shape.input_shape == (6,)
        assert target.model.preprocessing.vocabulary == 50
        assert target.members.inputs.dtype == torch.int64
        assert "2 text labels are numbered in alphabetical order" in target.facts

    def test_token_ids_given_directly(self, tmp_path: Path) -> None:
        lines = [json.dumps({"ids": [*list(range(1, 2 + i % 5)), i % 50], "y": i % 2}) for i in range(60)]
        (tmp_path / "d.jsonl").write_text("\n".join(lines))
        ragged = loaded(
            tmp_path, code=self.READER, modality="text", data={"path": "d.jsonl", "inputs": "ids", "labels": "y"}
        )
        assert ragged.model.shape.input_shape == (6,)
        np.savez(tmp_path / "d.npz", tokens=RNG.integers(0, 50, (60, 6)), labels=LABELS % 2)
        data = {"path": "d.npz", "inputs": "tokens", "labels": "labels"}
        assert loaded(tmp_path, code=self.READER, modality="text", data=data).members.inputs.shape[1] == 6


class TestCallables:
    @pytest.mark.parametrize(
        "body",
        [
            "return {'inputs': rng.random((60, 12, 12)), 'labels': np.arange(60) % 3}",
            "return rng.random((60, 12, 12)), np.arange(60) % 3",
            "return {'inputs': rng.random((60, 12, 12)).tolist(), 'labels': ['a', 'b', 'c'] * 20}",
            "return {'x': rng.random((60, 12, 12)), 'y': np.eye(3)[np.arange(60) % 3]}",
            "return {'images': rng.random((60, 12, 12)), 'label': (np.arange(60) % 3)[:, None]}",
            "import torch; return {'inputs': torch.rand(60, 12, 12), 'labels': torch.arange(60) % 3}",
            "return {'x_train': rng.random((40, 12, 12)), 'y_train': np.arange(40) % 3,"
            " 'x_test': rng.random((20, 12, 12)), 'y_test': np.arange(20) % 3}",
        ],
    )
    def test_what_a_function_may_return(self, tmp_path: Path, body: str) -> None:
        names = {"inputs": "x", "labels": "y"} if "x_train" in body else {}
        target = from_code(tmp_path, body, **names)
        assert target.model.shape.classes == 3
        assert target.model.shape.input_shape == (1, 12, 12)
        assert len(every_record(target)) == 60

    def test_bunch_of_scikit_learn(self, tmp_path: Path) -> None:
        target = from_code(tmp_path, "from sklearn.datasets import load_wine; return load_wine()", modality="tabular")
        assert target.model.shape.input_shape == (13,)
        assert target.model.preprocessing.columns[0].name == "alcohol"

    def test_modules_beside_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "nets_of_the_user.py").write_text(LINEAR)
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        data = {"path": "d.npz", "inputs": "images", "labels": "labels"}
        code = "from nets_of_the_user import build\n"
        assert loaded(tmp_path, code=code, data=data).model.shape.classes == 3
        assert loaded(tmp_path, data=data, model="nets_of_the_user:build").model.shape.classes == 3


class TestModels:
    def test_regression(self, tmp_path: Path) -> None:
        for last, labels in (("nn.Linear(144, 1)", GREY.mean((1, 2))), ("nn.Linear(144, 2)", GREY[:, 0, :2] / 7)):
            folder = tmp_path / last[-2]
            folder.mkdir()
            np.savez(folder / "d.npz", images=GREY, labels=labels)
            code = f"from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), {last})\n"
            data = {"path": "d.npz", "inputs": "images", "labels": "labels"}
            target = loaded(folder, code=code, data=data, task="regression")
            assert target.members.labels.dtype == torch.float32
            assert target.model.shape.classes == int(last[-2])
            assert target.model.loss(torch.zeros(5, target.model.shape.classes), target.members.labels[:5]).shape == (
                5,
            )

    @pytest.mark.parametrize("flatten", ["", ".squeeze(1)"])
    def test_one_logit_is_read_as_two(self, tmp_path: Path, flatten: str) -> None:
        """Cross-entropy of (0, z) is binary cross-entropy with logits of z."""
        np.savez(tmp_path / "d.npz", images=GREY, labels=np.where(LABELS > 0, 1, -1))
        code = f"""
from torch import nn
class build(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(144, 1)
    def forward(self, x):
        return self.fc(x.flatten(1)){flatten}
"""
        target = loaded(tmp_path, code=code, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert target.model.shape.classes == 2
        module = target.model.build()
        outputs = module(target.members.inputs)
        assert outputs.shape == (len(target.members), 2)
        assert set(dict(module.named_parameters())) == {"fc.weight", "fc.bias"}
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            outputs[:, 1], target.members.labels.float(), reduction="none"
        )
        assert torch.allclose(target.model.loss(outputs, target.members.labels), expected, atol=1e-6)

    @pytest.mark.parametrize("model", ["nn.LazyLinear(3)", "nn.Linear(144, 3).double()", "nn.Linear(144, 3).half()"])
    def test_lazy_and_other_precisions(self, tmp_path: Path, model: str) -> None:
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        code = f"from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), {model})\n"
        target = loaded(tmp_path, code=code, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert target.model.shape.parameters == 144 * 3 + 3
        assert target.model.build()(target.members.inputs).dtype == torch.float32

    def test_loss_that_averages(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        code = LINEAR + "def loss(outputs, labels):\n    return nn.functional.cross_entropy(outputs, labels)\n"
        data = {"path": "d.npz", "inputs": "images", "labels": "labels"}
        target = loaded(tmp_path, code=code, data=data, loss="target.py:loss")
        outputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(7) % 3
        expected = torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
        assert torch.allclose(target.model.loss(outputs, labels), expected)

    def test_probabilities_are_noticed(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        code = (
            "from torch import nn\ndef build():\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(144, 3), nn.Softmax(1))\n"
        )
        target = loaded(tmp_path, code=code, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert any("returns probabilities" in warning for warning in target.warnings)

    def test_a_part_without_gradient_is_noticed(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        code = (
            "from torch import nn\nclass build(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.used, self.unused = nn.Linear(144, 3), nn.Linear(4, 4)\n"
            "    def forward(self, x):\n        return self.used(x.flatten(1))\n"
        )
        target = loaded(tmp_path, code=code, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert "no gradient reaches 2 parameters: unused.weight, unused.bias" in target.warnings

    def test_summary_goes_into_results(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        summary = target.summary({"accuracy_members": 0.9})
        assert summary.layers == {"Flatten": 1, "Linear": 1}
        assert summary.shape.modality is Modality.IMAGE
        assert len(summary.model_sha256) == 64
        assert summary.weights_sha256 is None
        assert summary.utility == {"accuracy_members": 0.9}

    def test_factory_and_loss_can_be_sent_to_a_worker(self, tmp_path: Path) -> None:
        import pickle

        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS)
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        copy = pickle.loads(pickle.dumps(target.model))
        assert [p.shape for p in copy.build().parameters()] == [p.shape for p in target.model.build().parameters()]


class TestSplits:
    @pytest.mark.parametrize(("value", "wanted"), [(True, "true"), (1, 1), ("x", "x")])
    def test_values_of_a_split_column(self, tmp_path: Path, value: Any, wanted: Any) -> None:
        first = np.array([value] * 40)
        other = np.array([not value if isinstance(value, bool) else type(value)(2)] * 20)
        np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS, fold=np.concatenate([first, other]))
        rest = "false" if isinstance(value, bool) else type(value)(2)
        data = {
            "path": "d.npz",
            "inputs": "images",
            "labels": "labels",
            "split_by": "fold",
            "members": {"split": wanted},
            "nonmembers": {"split": rest},
        }
        assert len(loaded(tmp_path, data=data).members) == 40

    def test_drawn_splits_say_so_and_share_nothing(self, tmp_path: Path) -> None:
        repeated = np.concatenate([GREY, GREY[:10]])
        np.savez(tmp_path / "d.npz", images=repeated, labels=np.concatenate([LABELS, LABELS[:10]]))
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert [split.records for split in target.splits] == [24, 24, 12]
        assert target.splits[0].drawn_by == "the tool: 40% of the records at random, seed 0"
        assert "10 repeated records left out before the splits were drawn" in target.facts
        assert len({record.numpy().tobytes() for record in every_record(target)}) == 60

    def test_equal_inputs_with_other_labels_are_other_records(self, tmp_path: Path) -> None:
        np.savez(
            tmp_path / "d.npz", images=np.concatenate([GREY, GREY]), labels=np.concatenate([LABELS, (LABELS + 1) % 3])
        )
        target = loaded(tmp_path, data={"path": "d.npz", "inputs": "images", "labels": "labels"})
        assert sum(split.records for split in target.splits) == 120

    def test_duplicates_leave_the_nonmembers(self, tmp_path: Path) -> None:
        pictures = np.concatenate([GREY[:30], GREY[20:60]])
        labels = np.concatenate([LABELS[:30], LABELS[20:60]])
        np.savez(tmp_path / "d.npz", x=pictures, y=labels, split=np.repeat(["a", "b"], [30, 40]))
        data = {
            "path": "d.npz",
            "inputs": "x",
            "labels": "y",
            "members": {"split": "a"},
            "nonmembers": {"split": "b"},
        }
        target = loaded(tmp_path, data=data)
        assert len(target.members) == 30
        assert len(target.nonmembers) + len(target.population) == 30
        members = {record.numpy().tobytes() for record in target.members.inputs}
        assert not any(record.numpy().tobytes() in members for record in target.nonmembers.inputs)

    def test_only_the_population_is_named(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=GREY, y=LABELS, split=np.repeat(["a", "b"], [40, 20]))
        data = {"path": "d.npz", "inputs": "x", "labels": "y", "population": {"split": "b"}}
        assert [split.records for split in loaded(tmp_path, data=data).splits] == [20, 20, 20]

    def test_hash_names_content_not_order(self, tmp_path: Path) -> None:
        order = RNG.permutation(40)
        hashes = []
        for name, rows in (("one", np.arange(40)), ("two", order)):
            (tmp_path / name).mkdir()
            images, labels = (
                np.concatenate([GREY[:40][rows], GREY[40:]]),
                np.concatenate([LABELS[:40][rows], LABELS[40:]]),
            )
            np.savez(tmp_path / name / "d.npz", x=images, y=labels, split=np.repeat(["a", "b"], [40, 20]))
            data = {"path": "d.npz", "inputs": "x", "labels": "y"}
            data |= {"members": {"split": "a"}, "nonmembers": {"split": "b"}}  # type: ignore[dict-item]
            hashes.append(loaded(tmp_path / name, data=data).splits[0].sha256)
        assert hashes[0] == hashes[1]
