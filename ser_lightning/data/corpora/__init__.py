"""The corpora: one file each, holding labels, a reader of file names, and where the audio can be had."""

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts, load_corpus, own_corpus

__all__ = ["Corpus", "MisnamedFile", "NameFacts", "load_corpus", "own_corpus"]
