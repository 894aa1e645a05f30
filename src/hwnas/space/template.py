"""What the template of a `ModelSpace` is made of, for those who read it from outside.

A template is the network with the choices open and all candidates inside, on the meta device. It
belongs to its space: read it, and work on a copy where a part must act differently. Its modules are
plain ones, whose attributes may hold formulas, and five that are `Symbolic`:

- `LayerChoice`: `decision` is a formula whose value is one of `keys`, and the module at that place
  of `candidates` is taken.
- `Repeat`: the first `depth` (a formula) of `blocks` are taken, in sequence.
- `InputChoice`: `decision` is a formula; `subsets` has the places of the inputs taken for each of
  its values, and `reduced(inputs, reduction)` makes one result of them.
- `Cell`: `slots` has for each node its operations; one of them has formulas `op` and `source`, and
  `modules` by the pair of their values. `candidates` holds the same modules in the same order.
  `preprocessor`, `postprocessor`, `merge_op`, `num_predecessors` and `concat_dim` are those given.
- `Elastic`: the plain layer `kind(**arguments)`, with formulas among the arguments. `lent` has what
  the constructor has read of the layer, by name.

A Repeat of fixed depth is `Blocks`, a plain sequence. `counterparts(template, built, arch)` says
which module of a built network stands for which of the template.

Each of them says with `uses()` which formulas it holds.

A formula is a `Choice`, by its `label`, or an `Op`, whose `symbol` is applied to `args` (formulas
and plain values). `exprs` finds those in tuples, lists and dicts, `Expr.labels` the decisions
beneath. `shape_of(parameter)` is the open shape of a parameter made by `hwnas.space.nn.parameter`,
None of any other.

What is named here keeps its meaning; everything else of these classes may change.
"""

from __future__ import annotations

from hwnas.space._counterparts import counterparts
from hwnas.space._elastic import Elastic, shape_of
from hwnas.space._expr import Op, exprs
from hwnas.space._input_choice import reduced
from hwnas.space._repeat import Blocks
from hwnas.space._symbolic import Symbolic

__all__ = ["Blocks", "Elastic", "Op", "Symbolic", "counterparts", "exprs", "reduced", "shape_of"]
