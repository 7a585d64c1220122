"""The contract of every corpus there is: its examples are read, other names refused, its labels have a rule."""

from pathlib import PurePosixPath

import pytest
import yaml
from conftest import ROOT

from ser_lightning.data.corpora import MisnamedFile, load_corpus
from ser_lightning.data.corpora.corpus import corpus_names

NAMES = corpus_names()
PARSED = [name for name in NAMES if load_corpus(name).parse is not None]  # others read tables: see test_layouts.py
SIX = ROOT / "conf" / "data" / "label_map" / "six.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_is_called_as_its_file_and_its_labels_have_a_rule(name):
    corpus = load_corpus(name)
    assert corpus.name == name
    assert len(corpus.labels) >= 2
    assert set(corpus.labels) <= set(yaml.safe_load(SIX.read_text())), f"{SIX} lacks one of {corpus.labels}"
    assert (corpus.n_speakers is None) == (corpus.n_clips is None)
    assert corpus.n_clips is None or corpus.n_clips >= corpus.n_speakers >= 1
    assert corpus.title and corpus.licence and corpus.where_to_get
    assert (corpus.parse is None) != (corpus.read_listing is None)


@pytest.mark.parametrize("name", PARSED)
def test_the_examples_of_a_corpus_say_what_they_should(name):
    corpus = load_corpus(name)
    read = {path: corpus.facts(path) for path in corpus.examples}
    for path, facts in read.items():
        expected = corpus.examples[path]
        assert {"speaker", "emotion"} <= set(expected), f"{path}: name its speaker and emotion"
        assert {field: getattr(facts, field) for field in expected} == expected, path
        assert not facts.age or float(facts.age) > 0
        assert PurePosixPath(path).suffix and not path.startswith("/")
    assert {facts.emotion for facts in read.values()} == set(corpus.labels), "an example of every label"
    assert min(2, corpus.n_speakers) <= len({facts.speaker for facts in read.values()}) <= corpus.n_speakers
    assert len({facts.id for facts in read.values()}) == len(read)


@pytest.mark.parametrize("name", PARSED)
@pytest.mark.parametrize("text", ["", "holiday_in_rome_1", "1", "a-b-c", "03-01-06-01-02-01-12-x"])
def test_what_is_of_no_corpus_is_refused_with_an_example(name, text):
    with pytest.raises(MisnamedFile, match="is not named like"):
        load_corpus(name).parse(text)


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_downloaded_is_described_safely(name):
    remote = load_corpus(name).remote
    files = remote() if remote is not None else ()
    assert len({file.path for file in files}) == len(files)
    for file in files:
        assert not file.path.startswith("/") and ".." not in file.path
        assert file.urls and all(url.startswith(("https://", "http://")) for url in file.urls)
        assert file.digest is None or len(file.digest.split(":")[1]) == 32
