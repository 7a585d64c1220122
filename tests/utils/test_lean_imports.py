"""What a run does not use is not imported."""

import subprocess
import sys


def test_runs_do_not_import_what_they_do_without():
    code = (
        "import sys, ser_lightning.training.experiment, lightning.pytorch, torchmetrics.classification; "
        "print({'transformers', 'peft', 'scipy.signal', 'wandb'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_recognition_imports_nothing_of_training_and_evaluation():
    code = (
        "import sys, ser_lightning.inference.predict, ser_lightning.report.numbers; "
        "import ser_lightning.commands.prediction_tables; "
        "print({'scipy', 'lightning', 'matplotlib', 'wandb'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_whoever_predicts_alone_has_torchmetrics_as_it_is():
    code = (
        "from ser_lightning import load_model; import torchmetrics.utilities.imports as found; "
        "print(bool(found._MATPLOTLIB_AVAILABLE))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"
