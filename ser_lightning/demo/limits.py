"""Say what one demo takes at most: of a recording, of the disk, and of requests."""

RECORDING_MB = 200
RECORDING_BYTES = RECORDING_MB << 20
RECORDING_MIN = 60
RECORDING_S = 60 * RECORDING_MIN
KEPT_BYTES = 1_000_000_000  # of all pages that are open together: for more, the oldest recordings are deleted
ANSWERS_AT_ONCE = 4  # of one page all but the last are given up
WAITING_ANSWERS = 8
UPLOADS_AT_ONCE = 4
CONNECTIONS = 100  # a page has two that stay open, and a browser at most six
QUESTION_BYTES = 1 << 16  # of a request that is no upload; the page's have some hundred

SENTENCE = (
    f"Up to {RECORDING_MB} MB and {RECORDING_MIN} minutes. "
    "What you give stays on the machine that runs this demo, and is deleted when you close the page."
)
