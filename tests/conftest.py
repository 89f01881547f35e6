"""What all tests share."""

import gc


def pytest_collection_finish(session):
    """Keep the many tests themselves out of the cycle collector's sight, which would look through them again and again."""
    gc.collect()
    gc.freeze()
