"""The operations, by family. Each is one declaration; `tinygrad_rp.operation` says what follows from it."""

from tinygrad_rp.ops import (
    assign,
    convolution,
    create,
    cumulative,
    density,
    elementwise,
    index,
    linalg,
    loss,
    normalization,
    order,
    pooling,
    reduce,
    sample,
    scan,
    shape,
    special,
    stochastic,
)
from tinygrad_rp.ops.assign import *
from tinygrad_rp.ops.convolution import *
from tinygrad_rp.ops.create import *
from tinygrad_rp.ops.cumulative import *
from tinygrad_rp.ops.density import *
from tinygrad_rp.ops.elementwise import *
from tinygrad_rp.ops.index import *
from tinygrad_rp.ops.linalg import *
from tinygrad_rp.ops.loss import *
from tinygrad_rp.ops.normalization import *
from tinygrad_rp.ops.order import *
from tinygrad_rp.ops.pooling import *
from tinygrad_rp.ops.reduce import *
from tinygrad_rp.ops.sample import *
from tinygrad_rp.ops.scan import *
from tinygrad_rp.ops.shape import *
from tinygrad_rp.ops.special import *
from tinygrad_rp.ops.stochastic import *

__all__: list[str] = []
__all__ += assign.__all__
__all__ += convolution.__all__
__all__ += create.__all__
__all__ += cumulative.__all__
__all__ += density.__all__
__all__ += elementwise.__all__
__all__ += index.__all__
__all__ += linalg.__all__
__all__ += loss.__all__
__all__ += normalization.__all__
__all__ += order.__all__
__all__ += pooling.__all__
__all__ += reduce.__all__
__all__ += sample.__all__
__all__ += scan.__all__
__all__ += shape.__all__
__all__ += special.__all__
__all__ += stochastic.__all__
