"""Two convolutions, whose kernels and numbers of filters vary: 36 networks."""

import pyglove as pg


def two_convolutions():
    """A list of dictionaries, one for each layer."""
    choices = [(3, 4, 5), (6, 8, 10)]
    return pg.List(
        [
            pg.Dict(kernel_size=pg.one_of([3, 5]), filter_size=pg.one_of(list(sizes)))
            for sizes in choices
        ]
    )
