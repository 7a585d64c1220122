"""What is predicted: a kind of task is a file here, and everything that depends on it asks it.

In: outputs of a network, and what is true of the clips. Out: loss, metrics, evaluations, predictions.
May import: evaluation, utils. The parts that need PyTorch lie apart, so that comparisons start without it.
"""
