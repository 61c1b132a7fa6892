"""How to cite what a report rests on, as BibTeX."""

from collections.abc import Iterable

from sodbench.datasets import DATASETS, known_name
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.entries import CITATIONS

# by the beginning of a method's name
_MODEL_ENTRIES = {
    "csf": """@inproceedings{gao2020sod100k,
  title = {Highly Efficient Salient Object Detection with 100K Parameters},
  author = {Gao, Shang-Hua and Tan, Yong-Qiang and Cheng, Ming-Ming and Lu, Chengze and Chen, Yunpeng and Yan, Shuicheng},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2020}
}
@article{gao2021res2net,
  title = {Res2Net: A New Multi-Scale Backbone Architecture},
  author = {Gao, Shang-Hua and Cheng, Ming-Ming and Zhao, Kai and Zhang, Xin-Yu and Yang, Ming-Hsuan and Torr, Philip},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {43}, number = {2}, pages = {652--662}, year = {2021}
}""",
    "frequency-tuned": """@inproceedings{achanta2009frequency,
  title = {Frequency-tuned Salient Region Detection},
  author = {Achanta, Radhakrishna and Hemami, Sheila and Estrada, Francisco and Susstrunk, Sabine},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2009}
}""",
}
# by the catalogue's key of a metric's citation; others are cited by the catalogue's own line
_METRIC_ENTRIES = {
    # the F-measure with beta^2 = 0.3
    "achanta2009": _MODEL_ENTRIES["frequency-tuned"],
    "perazzi2012": """@inproceedings{perazzi2012saliency,
  title = {Saliency Filters: Contrast Based Filtering for Salient Region Detection},
  author = {Perazzi, Federico and Kr{\\"a}henb{\\"u}hl, Philipp and Pritch, Yael and Hornung, Alexander},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2012}
}""",
    "margolin2014": """@inproceedings{margolin2014evaluate,
  title = {How to Evaluate Foreground Maps?},
  author = {Margolin, Ran and Zelnik-Manor, Lihi and Tal, Ayellet},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2014}
}""",
    "fan2017": """@inproceedings{fan2017structure,
  title = {Structure-measure: A New Way to Evaluate Foreground Maps},
  author = {Fan, Deng-Ping and Cheng, Ming-Ming and Liu, Yun and Li, Tao and Borji, Ali},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  year = {2017}
}""",
    "fan2018": """@inproceedings{fan2018enhanced,
  title = {Enhanced-alignment Measure for Binary Foreground Map Evaluation},
  author = {Fan, Deng-Ping and Gong, Cheng and Cao, Yang and Ren, Bo and Cheng, Ming-Ming and Borji, Ali},
  booktitle = {International Joint Conference on Artificial Intelligence (IJCAI)},
  year = {2018}
}""",
    "cohen1960": """@article{cohen1960coefficient,
  title = {A Coefficient of Agreement for Nominal Scales},
  author = {Cohen, Jacob},
  journal = {Educational and Psychological Measurement},
  volume = {20}, number = {1}, pages = {37--46}, year = {1960}
}""",
}


def bibtex(datasets: Iterable[str], methods: Iterable[str], metrics: Iterable[str]) -> str:
    """Return the entries of known datasets, models and metrics.

    Parameters
    ----------
    datasets, methods, metrics : iterable of str
        Their names; unknown ones are left out.

    Returns
    -------
    str
        Each entry once.
    """
    entries = []
    for dataset in datasets:
        known = known_name(dataset.split("/")[0])
        if known:
            entries.append(DATASETS[known].bibtex)
    for method in methods:
        entries += [
            text for name, text in _MODEL_ENTRIES.items() if method.lower().startswith(name)
        ]
    for metric in metrics:
        key = find_metric(metric).citation
        if key:
            entries.append(
                _METRIC_ENTRIES.get(key) or f"@misc{{{key},\n  note = {{{CITATIONS[key]}}}\n}}"
            )
    return "\n".join(dict.fromkeys(entry.strip() for entry in entries))
