"""The data sets of salient object detection: names, counts, citations, known faults, sources.

Facts come from the sets' papers and public list files; what is not known says ``unknown``.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sodbench.errors import SodbenchError

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Source:
    """One archive or page to get a set from; links were found in public lists and code, and may be dead.

    url: the address; holds: what it contains, in words.
    into: folder below the set's own folder to extract into.
    several: the archive holds several sets, each in a folder of its own name.
    drive: a Google Drive link, which needs gdown.
    """

    url: str
    holds: str
    into: str = "."
    several: bool = False
    drive: bool = False


@dataclass(frozen=True)
class Weights:
    """A file of published weights; ``sha256`` is its SHA-256, or as many of its first digits as are known."""

    name: str
    url: str
    sha256: str
    about: str

    def place(self, data_root: Path) -> Path:
        """Where the file lies once it is fetched."""
        return data_root / "weights" / self.url.rpartition("/")[2]


WEIGHTS = (
    Weights(
        "res2net50-v1b",
        "https://shanghuagao.oss-cn-beijing.aliyuncs.com/res2net/res2net50_v1b_26w_4s-3cf99910.pth",
        "3cf99910",
        "Res2Net-50 v1b (26w x 4s) trained on ImageNet: the backbone that CSF starts from",
    ),
)
"""Published weights that can be fetched by name."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of one data set.

    name: the name sodbench prints; aliases: other spellings (case and punctuation never matter).
    code: the letter of the reference's test script, or empty.
    count: official number of images; extension: that of the official images.
    citation: one line; bibtex: the entry; licence: as far as known.
    downloads: ways to fetch it, best first; each is the archives that together give the whole set.
    pages: places to visit by hand.
    known: item name -> what is known to be wrong with, or special about, it.
    subsets: subset name -> what it is (their items: :func:`sodbench.datasets.official_names`).
    """

    name: str
    aliases: tuple[str, ...]
    code: str
    count: int
    extension: str
    about: str
    citation: str
    bibtex: str
    licence: str
    page: str
    downloads: tuple[tuple[Source, ...], ...]
    pages: tuple[Source, ...]
    known: Mapping[str, str]
    subsets: Mapping[str, str]


def _info(
    name: str,
    *,
    aliases: tuple[str, ...] = (),
    code: str = "",
    count: int,
    extension: str = ".jpg",
    about: str,
    citation: str,
    bibtex: str,
    page: str,
    downloads: tuple[tuple[Source, ...], ...] = (),
    pages: tuple[Source, ...] = (),
    known: dict[str, str] | None = None,
    subsets: dict[str, str] | None = None,
) -> DatasetInfo:
    return DatasetInfo(
        name,
        aliases,
        code,
        count,
        extension,
        about,
        citation,
        bibtex,
        UNKNOWN,
        page,
        downloads,
        pages,
        MappingProxyType(known or {}),
        MappingProxyType(subsets or {}),
    )


_ALL_SIX = Source(
    "https://github.com/yuhuan-wu/EDN/releases/download/v1.0/SOD_datasets.zip",
    "all six test sets in one archive",
    several=True,
)

_DUTS_BIBTEX = """@inproceedings{wang2017duts,
  title = {Learning to Detect Salient Objects with Image-Level Supervision},
  author = {Wang, Lijun and Lu, Huchuan and Wang, Yifan and Feng, Mengyang and Wang, Dong and Yin, Baocai and Ruan, Xiang},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2017}
}"""
_DUTS_CITATION = (
    "Wang et al., Learning to Detect Salient Objects with Image-Level Supervision, CVPR 2017"
)

_INFOS = (
    _info(
        "ECSSD",
        code="e",
        count=1000,
        about="one or more objects before complex scenes",
        citation="Yan et al., Hierarchical Saliency Detection, CVPR 2013; "
        "Shi et al., Hierarchical Image Saliency Detection on Extended CSSD, TPAMI 2016",
        bibtex="""@inproceedings{yan2013hierarchical,
  title = {Hierarchical Saliency Detection},
  author = {Yan, Qiong and Xu, Li and Shi, Jianping and Jia, Jiaya},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2013}
}""",
        page="http://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/",
        downloads=(
            (
                Source(
                    "http://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/data/ECSSD/images.zip",
                    "images",
                    "images",
                ),
                Source(
                    "http://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/data/ECSSD/ground_truth_mask.zip",
                    "masks",
                    "ground_truth_mask",
                ),
            ),
            (_ALL_SIX,),
        ),
        known={"0557": "the original image is grey, not colour"},
    ),
    _info(
        "PASCAL-S",
        aliases=("PASCALS", "PASCAL"),
        code="p",
        count=850,
        about="images of PASCAL VOC 2010; masks have several grey levels, so the rule that makes "
        "them binary (> 127.5 is common) changes the numbers and some masks become empty",
        citation="Li et al., The Secrets of Salient Object Segmentation, CVPR 2014",
        bibtex="""@inproceedings{li2014secrets,
  title = {The Secrets of Salient Object Segmentation},
  author = {Li, Yin and Hou, Xiaodi and Koch, Christof and Rehg, James M. and Yuille, Alan L.},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2014}
}""",
        page="http://cbi.gatech.edu/salobj/",
        downloads=(
            (_ALL_SIX,),
            (Source("http://cbi.gatech.edu/salobj/download/salObj.zip", "whole set"),),
        ),
        pages=(Source("https://ccvl.jhu.edu/datasets/", "a page of the authors' group"),),
    ),
    _info(
        "DUT-OMRON",
        aliases=("DUT-O", "DUTO", "DUTOMRON", "OMRON"),
        code="d",
        count=5168,
        about="one or more objects before fairly complex backgrounds",
        citation="Yang et al., Saliency Detection via Graph-Based Manifold Ranking, CVPR 2013",
        bibtex="""@inproceedings{yang2013saliency,
  title = {Saliency Detection via Graph-Based Manifold Ranking},
  author = {Yang, Chuan and Zhang, Lihe and Lu, Huchuan and Ruan, Xiang and Yang, Ming-Hsuan},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2013}
}""",
        page="http://saliencydetection.net/dut-omron/",
        downloads=((_ALL_SIX,),),
        pages=(
            Source(
                "http://saliencydetection.net/dut-omron/download/DUT-OMRON-image.zip",
                "the images alone; the masks are on the set's page",
            ),
        ),
        known={
            "sun_akxddynsopjifavt": "missing from the released maps of some methods",
            "sun_barwtmnxkuxyttlj": "missing from the released maps of some methods",
        },
        subsets={
            "5166": "without the two items that some methods' released maps lack",
        },
    ),
    _info(
        "HKU-IS",
        aliases=("HKUIS",),
        code="h",
        count=4447,
        extension=".png",
        about="several objects, low contrast or objects that touch the border; papers report all "
        "4447 or the official 1447 of the test split, rarely saying which",
        citation="Li and Yu, Visual Saliency Based on Multiscale Deep Features, CVPR 2015",
        bibtex="""@inproceedings{li2015visual,
  title = {Visual Saliency Based on Multiscale Deep Features},
  author = {Li, Guanbin and Yu, Yizhou},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2015}
}""",
        page="https://i.cs.hku.hk/~gbli/deep_saliency.html",
        downloads=((_ALL_SIX,),),
        pages=(Source("https://sites.google.com/site/ligb86/hkuis", "an older page of the set"),),
        known={
            "4544": "missing from some lists, which then have 4445 names",
            "8103": "missing from some lists, which then have 4445 names",
        },
        subsets={
            "train": "the official training split, 2500 images",
            "val": "the official validation split, 500 images",
            "test": "the official test split, 1447 images",
            "4445": "without the two items that some lists lack",
        },
    ),
    _info(
        "SOD",
        code="s",
        count=300,
        about="the 300 images of BSDS300, hard: several objects, low contrast, touching the border; "
        "most masks are 1-bit PNG",
        citation="Movahedi and Elder, Design and Perceptual Validation of Performance Measures for "
        "Salient Object Segmentation, CVPR Workshops 2010",
        bibtex="""@inproceedings{movahedi2010design,
  title = {Design and Perceptual Validation of Performance Measures for Salient Object Segmentation},
  author = {Movahedi, Vida and Elder, James H.},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2010}
}""",
        page="https://www.elderlab.yorku.ca/SOD/",
        downloads=((_ALL_SIX,),),
    ),
    _info(
        "DUTS-TE",
        aliases=("DUTS", "DUTSTE", "DUTS-TEST"),
        code="t",
        count=5019,
        about="the largest test set; all sides at most 400 pixels",
        citation=_DUTS_CITATION,
        bibtex=_DUTS_BIBTEX,
        page="http://saliencydetection.net/duts/",
        downloads=(
            (Source("http://saliencydetection.net/duts/download/DUTS-TE.zip", "whole set"),),
            (_ALL_SIX,),
        ),
        known={
            "ILSVRC2012_test_00036002": "wrong or wrongly sized mask in the old release",
            "sun_bcogaqperiljqupq": "wrong or wrongly sized mask in the old release",
        },
        subsets={"clean": "without the two items whose masks were wrong in the old release"},
    ),
    _info(
        "DUTS-TR",
        aliases=("DUTSTR", "DUTS-TRAIN"),
        count=10553,
        about="the training set that most methods since 2018 use; all sides at most 400 pixels",
        citation=_DUTS_CITATION,
        bibtex=_DUTS_BIBTEX,
        page="http://saliencydetection.net/duts/",
        downloads=(
            (Source("http://saliencydetection.net/duts/download/DUTS-TR.zip", "whole set"),),
            (
                Source(
                    "https://drive.google.com/uc?id=1immMDAPC9Eb2KCtGi6AdfvXvQJnSkHHo",
                    "whole set with train_pair.lst",
                    drive=True,
                ),
            ),
        ),
        known={
            "ILSVRC2014_train_00023530": "image and mask differ in size; the reference skips it",
            "n04442312_17818": "image and mask differ in size; the reference skips it",
            "n01532829_13482": "image and mask differ in size; the reference skips it",
        },
        subsets={"clean": "without the three items whose image and mask differ in size"},
    ),
)

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType({info.name: info for info in _INFOS})
"""Every known data set by name."""

TEST_SETS = ("ECSSD", "PASCAL-S", "DUT-OMRON", "HKU-IS", "SOD", "DUTS-TE")
"""The six test sets in the order of the reference's test script."""

TRAIN_SET = "DUTS-TR"


def normalise_name(name: str) -> str:
    """A name without case, spaces and punctuation, as folder names are compared."""
    return re.sub(r"[\W_]+", "", name).lower()


_BY_KEY = {normalise_name(n): info.name for info in _INFOS for n in (info.name, *info.aliases)}


def match_keys(info: DatasetInfo) -> tuple[str, ...]:
    """Folder keys under which a set is looked for, longest first."""
    keys = {normalise_name(n) for n in (info.name, *info.aliases)}
    return tuple(sorted(keys, key=lambda key: (-len(key), key)))


def known_name(name: str) -> str | None:
    """The canonical name without its subset, or None where the name is not a known set's."""
    return _BY_KEY.get(normalise_name(name))


def canonical_name(name: str) -> str:
    """The name as sodbench prints it: ``pascals`` -> ``PASCAL-S``, ``hkuis/test`` -> ``HKU-IS/test``.

    Aliases are accepted, case and punctuation do not matter; ``DUTS`` alone means DUTS-TE.
    Raises :class:`SodbenchError` for an unknown set or subset and suggests the nearest name.
    """
    base, slash, subset = name.strip().partition("/")
    known = known_name(base)
    if known is None:
        raise SodbenchError(*_unknown(base))
    if not slash:
        return known
    subsets = DATASETS[known].subsets
    if subset.lower() not in subsets:
        offered = ", ".join(f"{known}/{s}" for s in subsets) or "none"
        raise SodbenchError(f"{known} has no subset {subset!r}; its named subsets: {offered}")
    return f"{known}/{subset.lower()}"


def _unknown(name: str) -> tuple[str, ...]:
    near = difflib.get_close_matches(normalise_name(name), _BY_KEY, n=1, cutoff=0.5)
    hint = f"; did you mean {_BY_KEY[near[0]]}?" if near else ""
    return (
        f"unknown dataset {name!r}{hint}",
        f"  known: {', '.join(DATASETS)} (and subsets such as HKU-IS/test)",
        "  your own: give the path of a folder with images and masks, or of a TOML file",
    )
