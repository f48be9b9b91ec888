"""The compiled encoders: one pass over the bits of each row, equal bit for bit to the references.

Only `CompiledEncoding.run_kernel` imports these modules, when the first weight is encoded: numba
is slow to import.

A kernel runs on one thread and without the GIL, so rows are encoded in parallel by calling it
from several threads: numba's own threads would have to be compiled into each kernel (slower to
start), and its fallback threading layer aborts when two threads launch kernels at once.

Two rules keep the loops fast. Reductions compare integers that order like the floats they stand
for: without licence to reorder floating-point operations, only integer reductions become vector
instructions. Arrays are indexed from zero, as ``blocks[b, i]``: for ``row[start + i]`` numba
must provide for negative indices, which defeats vectorization.
"""
