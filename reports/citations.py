"""How to cite what a report rests on, as BibTeX."""

from collections.abc import Iterable

from sodbench.datasets import DATASETS, known_name

MODELS = {
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
MEASURES = {
    "s": """@inproceedings{fan2017structure,
  title = {Structure-measure: A New Way to Evaluate Foreground Maps},
  author = {Fan, Deng-Ping and Cheng, Ming-Ming and Liu, Yun and Li, Tao and Borji, Ali},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  year = {2017}
}""",
    "e": """@inproceedings{fan2018enhanced,
  title = {Enhanced-alignment Metric for Binary Foreground Map Evaluation},
  author = {Fan, Deng-Ping and Gong, Cheng and Cao, Yang and Ren, Bo and Cheng, Ming-Ming and Borji, Ali},
  booktitle = {International Joint Conference on Artificial Intelligence (IJCAI)},
  year = {2018}
}""",
    "wf": """@inproceedings{margolin2014evaluate,
  title = {How to Evaluate Foreground Maps?},
  author = {Margolin, Ran and Zelnik-Manor, Lihi and Tal, Ayellet},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2014}
}""",
    "f": MODELS["frequency-tuned"],
}
"""By a measure's family; the F-measure with beta^2 = 0.3 comes from Achanta et al."""


def bibtex(datasets: Iterable[str], methods: Iterable[str], metrics: Iterable[str]) -> str:
    """The entries for the known data sets, models and metrics among the names, each once."""
    found: list[str] = []
    for name in datasets:
        known = known_name(name.split("/")[0])
        if known:
            found.append(DATASETS[known].bibtex)
    for method in methods:
        found += [entry for key, entry in MODELS.items() if method.lower().startswith(key)]
    for metric in metrics:
        found += [MEASURES[f] for f in (metric.split("_")[0],) if f in MEASURES]
    return "\n".join(dict.fromkeys(entry.strip() for entry in found))
