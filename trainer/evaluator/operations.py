"""The operations a graph may name: pure ATen overloads, and what kind of argument each takes.

The one list that the host's check and the evaluator share, written as ATen's own schemas without aliases, devices, layouts and
generators; `tests/trainer` holds it against the schemas of the installed torch. Left out on purpose: everything random, everything that
writes into its arguments, returns uninitialised memory (`empty`, `resize`) or reads memory by stride (`as_strided`), whatever has a
result whose shape depends on values (`nonzero`, `masked_select`, `item`), names files, or takes an expression as a string (`einsum`:
traced as products).

Imports the standard library only: the host has no torch.
"""

import re
from dataclasses import dataclass
from functools import cache

DTYPES = frozenset({"float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"})

MEMORY_FORMATS = frozenset({"contiguous_format", "preserve_format", "channels_last", "channels_last_3d"})

STRINGS = {
    "approximate": frozenset({"none", "tanh"}),
    "rounding_mode": frozenset({"floor", "trunc"}),
    "reduce": frozenset({"sum", "prod", "mean", "amax", "amin"}),
    "side": frozenset({"left", "right"}),
}
"""Words an argument of this name may hold."""

SIZES = frozenset({"size", "repeats", "sizes", "shape"})
"""Lists whose product is a number of elements (`repeats` too: of what it multiplies)."""

COUNTS = frozenset({"steps", "n", "m", "row", "col", "num_classes", "repeats", "last_dim_size", "output_size", "k", "pad"})
"""Numbers that decide how large a result becomes."""

FIXED: dict[str, dict[str, tuple[object, ...]]] = {
    "scaled_dot_product_attention.default": {"dropout_p": (0, 0.0)},
    "gru.input": {"dropout": (0, 0.0), "train": (False,)},
    "lstm.input": {"dropout": (0, 0.0), "train": (False,)},
    "one_hot.default": {"num_classes": tuple(range(1, 65_537))},
}
"""Arguments that may hold these values alone: no dropout, no shape that depends on values."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an operation."""

    name: str
    kind: str
    """`Tensor`, `int`, `float`, `Scalar`, `bool`, `str`, `dtype`, `MemoryFormat`; with `[]` a list of them."""
    optional: bool
    required: bool
    keyword_only: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation takes and how many results it has."""

    parameters: tuple[Parameter, ...]
    results: int | None
    """None: a list, as long as its arguments make it."""


@cache
def operations() -> dict[str, Operation]:
    """Operation and overload (`mm.default`) → what it takes."""
    return dict(_parse(line) for line in SCHEMAS.strip().splitlines() if not line.startswith("#"))


def _parse(line: str) -> tuple[str, Operation]:
    name, arguments, results = re.fullmatch(r"([A-Za-z0-9_.]+)\((.*)\) -> (.*)", line).groups()  # type: ignore[union-attr]
    parameters = []
    keyword_only = False
    for part in re.split(r", (?![^\[]*\])", arguments) if arguments else []:
        if part == "*":
            keyword_only = True
            continue
        kind, _, rest = part.partition(" ")
        argument, has_default, _ = rest.partition("=")
        optional = kind.endswith("?")
        kind = re.sub(r"\[\d+\]", "[]", kind.removesuffix("?"))
        parameters.append(Parameter(argument, kind, optional, not has_default, keyword_only))
    count = None if results == "Tensor[]" else results.count("Tensor")
    return name, Operation(tuple(parameters), count)


SCHEMAS = """
# pointwise, one tensor
abs.default(Tensor self) -> Tensor
neg.default(Tensor self) -> Tensor
exp.default(Tensor self) -> Tensor
exp2.default(Tensor self) -> Tensor
expm1.default(Tensor self) -> Tensor
log.default(Tensor self) -> Tensor
log2.default(Tensor self) -> Tensor
log10.default(Tensor self) -> Tensor
log1p.default(Tensor self) -> Tensor
sqrt.default(Tensor self) -> Tensor
rsqrt.default(Tensor self) -> Tensor
reciprocal.default(Tensor self) -> Tensor
sin.default(Tensor self) -> Tensor
cos.default(Tensor self) -> Tensor
tan.default(Tensor self) -> Tensor
asin.default(Tensor self) -> Tensor
acos.default(Tensor self) -> Tensor
atan.default(Tensor self) -> Tensor
sinh.default(Tensor self) -> Tensor
cosh.default(Tensor self) -> Tensor
tanh.default(Tensor self) -> Tensor
atanh.default(Tensor self) -> Tensor
asinh.default(Tensor self) -> Tensor
acosh.default(Tensor self) -> Tensor
sigmoid.default(Tensor self) -> Tensor
relu.default(Tensor self) -> Tensor
gelu.default(Tensor self, *, str approximate="none") -> Tensor
silu.default(Tensor self) -> Tensor
mish.default(Tensor self) -> Tensor
elu.default(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor
softplus.default(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor
leaky_relu.default(Tensor self, Scalar negative_slope=0.01) -> Tensor
hardtanh.default(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor
hardsigmoid.default(Tensor self) -> Tensor
hardswish.default(Tensor self) -> Tensor
softshrink.default(Tensor self, Scalar lambd=0.5) -> Tensor
hardshrink.default(Tensor self, Scalar lambd=0.5) -> Tensor
threshold.default(Tensor self, Scalar threshold, Scalar value) -> Tensor
erf.default(Tensor self) -> Tensor
erfc.default(Tensor self) -> Tensor
erfinv.default(Tensor self) -> Tensor
sgn.default(Tensor self) -> Tensor
sign.default(Tensor self) -> Tensor
floor.default(Tensor self) -> Tensor
ceil.default(Tensor self) -> Tensor
round.default(Tensor self) -> Tensor
trunc.default(Tensor self) -> Tensor
frac.default(Tensor self) -> Tensor
square.default(Tensor self) -> Tensor
logical_not.default(Tensor self) -> Tensor
bitwise_not.default(Tensor self) -> Tensor
isnan.default(Tensor self) -> Tensor
isinf.default(Tensor self) -> Tensor
isfinite.default(Tensor self) -> Tensor
log_sigmoid_forward.default(Tensor self) -> (Tensor output, Tensor buffer)
logit.default(Tensor self, float? eps=None) -> Tensor
glu.default(Tensor self, int dim=-1) -> Tensor
nan_to_num.default(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor
clamp.default(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor
clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor
clamp_min.default(Tensor self, Scalar min) -> Tensor
clamp_min.Tensor(Tensor self, Tensor min) -> Tensor
clamp_max.default(Tensor self, Scalar max) -> Tensor
clamp_max.Tensor(Tensor self, Tensor max) -> Tensor
# pointwise, several tensors
add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor
add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor
sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor
sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor
rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor
rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor
mul.Tensor(Tensor self, Tensor other) -> Tensor
mul.Scalar(Tensor self, Scalar other) -> Tensor
div.Tensor(Tensor self, Tensor other) -> Tensor
div.Scalar(Tensor self, Scalar other) -> Tensor
div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor
div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor
floor_divide.default(Tensor self, Tensor other) -> Tensor
floor_divide.Scalar(Tensor self, Scalar other) -> Tensor
fmod.Tensor(Tensor self, Tensor other) -> Tensor
fmod.Scalar(Tensor self, Scalar other) -> Tensor
remainder.Tensor(Tensor self, Tensor other) -> Tensor
remainder.Scalar(Tensor self, Scalar other) -> Tensor
pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor
pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor
pow.Scalar(Scalar self, Tensor exponent) -> Tensor
atan2.default(Tensor self, Tensor other) -> Tensor
hypot.default(Tensor self, Tensor other) -> Tensor
maximum.default(Tensor self, Tensor other) -> Tensor
minimum.default(Tensor self, Tensor other) -> Tensor
fmax.default(Tensor self, Tensor other) -> Tensor
fmin.default(Tensor self, Tensor other) -> Tensor
logaddexp.default(Tensor self, Tensor other) -> Tensor
logaddexp2.default(Tensor self, Tensor other) -> Tensor
lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor
lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor
addcmul.default(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor
addcdiv.default(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor
where.self(Tensor condition, Tensor self, Tensor other) -> Tensor
where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor
where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor
where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor
masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor
masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor
copysign.Tensor(Tensor self, Tensor other) -> Tensor
xlogy.Tensor(Tensor self, Tensor other) -> Tensor
_prelu_kernel.default(Tensor self, Tensor weight) -> Tensor
prelu.default(Tensor self, Tensor weight) -> Tensor
eq.Tensor(Tensor self, Tensor other) -> Tensor
eq.Scalar(Tensor self, Scalar other) -> Tensor
ne.Tensor(Tensor self, Tensor other) -> Tensor
ne.Scalar(Tensor self, Scalar other) -> Tensor
lt.Tensor(Tensor self, Tensor other) -> Tensor
lt.Scalar(Tensor self, Scalar other) -> Tensor
le.Tensor(Tensor self, Tensor other) -> Tensor
le.Scalar(Tensor self, Scalar other) -> Tensor
gt.Tensor(Tensor self, Tensor other) -> Tensor
gt.Scalar(Tensor self, Scalar other) -> Tensor
ge.Tensor(Tensor self, Tensor other) -> Tensor
ge.Scalar(Tensor self, Scalar other) -> Tensor
logical_and.default(Tensor self, Tensor other) -> Tensor
logical_or.default(Tensor self, Tensor other) -> Tensor
logical_xor.default(Tensor self, Tensor other) -> Tensor
bitwise_and.Tensor(Tensor self, Tensor other) -> Tensor
bitwise_and.Scalar(Tensor self, Scalar other) -> Tensor
bitwise_or.Tensor(Tensor self, Tensor other) -> Tensor
bitwise_or.Scalar(Tensor self, Scalar other) -> Tensor
bitwise_xor.Tensor(Tensor self, Tensor other) -> Tensor
bitwise_xor.Scalar(Tensor self, Scalar other) -> Tensor
bitwise_left_shift.Tensor(Tensor self, Tensor other) -> Tensor
bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor
bitwise_right_shift.Tensor(Tensor self, Tensor other) -> Tensor
bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor
__lshift__.Tensor(Tensor self, Tensor other) -> Tensor
__rshift__.Tensor(Tensor self, Tensor other) -> Tensor
__lshift__.Scalar(Tensor self, Scalar other) -> Tensor
__rshift__.Scalar(Tensor self, Scalar other) -> Tensor
# reductions and scans
sum.default(Tensor self, *, dtype? dtype=None) -> Tensor
sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, dtype? dtype=None) -> Tensor
mean.default(Tensor self, *, dtype? dtype=None) -> Tensor
mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, dtype? dtype=None) -> Tensor
amax.default(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor
amin.default(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor
aminmax.default(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)
max.default(Tensor self) -> Tensor
max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)
min.default(Tensor self) -> Tensor
min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)
argmax.default(Tensor self, int? dim=None, bool keepdim=False) -> Tensor
argmin.default(Tensor self, int? dim=None, bool keepdim=False) -> Tensor
prod.default(Tensor self, *, dtype? dtype=None) -> Tensor
prod.dim_int(Tensor self, int dim, bool keepdim=False, *, dtype? dtype=None) -> Tensor
any.default(Tensor self) -> Tensor
any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor
any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor
all.default(Tensor self) -> Tensor
all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor
all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor
var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor
std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor
var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)
logsumexp.default(Tensor self, int[1] dim, bool keepdim=False) -> Tensor
linalg_vector_norm.default(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor
norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor
cumsum.default(Tensor self, int dim, *, dtype? dtype=None) -> Tensor
cumprod.default(Tensor self, int dim, *, dtype? dtype=None) -> Tensor
cummax.default(Tensor self, int dim) -> (Tensor values, Tensor indices)
cummin.default(Tensor self, int dim) -> (Tensor values, Tensor indices)
logcumsumexp.default(Tensor self, int dim) -> Tensor
median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)
# normalisation
_softmax.default(Tensor self, int dim, bool half_to_float) -> Tensor
_log_softmax.default(Tensor self, int dim, bool half_to_float) -> Tensor
softmax.int(Tensor self, int dim, dtype? dtype=None) -> Tensor
log_softmax.int(Tensor self, int dim, dtype? dtype=None) -> Tensor
_safe_softmax.default(Tensor self, int dim, dtype? dtype=None) -> Tensor
native_layer_norm.default(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)
_fused_rms_norm.default(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)
rms_norm.default(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor
layer_norm.default(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, \
bool cudnn_enable=True) -> Tensor
group_norm.default(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, \
bool cudnn_enabled=True) -> Tensor
# products
mm.default(Tensor self, Tensor mat2) -> Tensor
bmm.default(Tensor self, Tensor mat2) -> Tensor
addmm.default(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor
baddbmm.default(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor
addbmm.default(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor
mv.default(Tensor self, Tensor vec) -> Tensor
addmv.default(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor
addr.default(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor
dot.default(Tensor self, Tensor tensor) -> Tensor
matmul.default(Tensor self, Tensor other) -> Tensor
linear.default(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor
convolution.default(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, \
int[] output_padding, int groups) -> Tensor
conv1d.default(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=[1], int[1] padding=[0], int[1] dilation=[1], \
int groups=1) -> Tensor
linalg_inv_ex.default(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)
linalg_solve_triangular.default(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor
linalg_solve_ex.default(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)
# attention and recurrent cells
scaled_dot_product_attention.default(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., \
bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor
gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, \
bool bidirectional, bool batch_first) -> (Tensor, Tensor)
lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, \
bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)
gru_cell.default(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor
lstm_cell.default(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)
# Fourier
_fft_r2c.default(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor
_fft_c2r.default(Tensor self, int[] dim, int normalization, int last_dim_size) -> Tensor
_fft_c2c.default(Tensor self, int[] dim, int normalization, bool forward) -> Tensor
view_as_real.default(Tensor self) -> Tensor
view_as_complex.default(Tensor self) -> Tensor
real.default(Tensor self) -> Tensor
imag.default(Tensor self) -> Tensor
conj_physical.default(Tensor self) -> Tensor
_conj.default(Tensor self) -> Tensor
resolve_conj.default(Tensor self) -> Tensor
# shapes
view.default(Tensor self, int[] size) -> Tensor
_unsafe_view.default(Tensor self, int[] size) -> Tensor
reshape.default(Tensor self, int[] shape) -> Tensor
expand.default(Tensor self, int[] size, *, bool implicit=False) -> Tensor
permute.default(Tensor self, int[] dims) -> Tensor
transpose.int(Tensor self, int dim0, int dim1) -> Tensor
t.default(Tensor self) -> Tensor
unsqueeze.default(Tensor self, int dim) -> Tensor
squeeze.default(Tensor self) -> Tensor
squeeze.dim(Tensor self, int dim) -> Tensor
squeeze.dims(Tensor self, int[] dim) -> Tensor
slice.Tensor(Tensor self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor
select.int(Tensor self, int dim, int index) -> Tensor
narrow.default(Tensor self, int dim, int start, int length) -> Tensor
unbind.int(Tensor self, int dim=0) -> Tensor[]
split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]
split_with_sizes.default(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]
chunk.default(Tensor self, int chunks, int dim=0) -> Tensor[]
unsafe_split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]
unsafe_split_with_sizes.default(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]
unsafe_chunk.default(Tensor self, int chunks, int dim=0) -> Tensor[]
unfold.default(Tensor self, int dimension, int size, int step) -> Tensor
diagonal.default(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor
flatten.using_ints(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor
unflatten.int(Tensor self, int dim, int[] sizes) -> Tensor
movedim.int(Tensor self, int source, int destination) -> Tensor
cat.default(Tensor[] tensors, int dim=0) -> Tensor
stack.default(Tensor[] tensors, int dim=0) -> Tensor
repeat.default(Tensor self, int[] repeats) -> Tensor
roll.default(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor
flip.default(Tensor self, int[] dims) -> Tensor
constant_pad_nd.default(Tensor self, int[] pad, Scalar value=0) -> Tensor
tril.default(Tensor self, int diagonal=0) -> Tensor
triu.default(Tensor self, int diagonal=0) -> Tensor
repeat_interleave.self_int(Tensor self, int repeats, int? dim=None, *, int? output_size=None) -> Tensor
diag_embed.default(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor
# reading and writing by index
embedding.default(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor
gather.default(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor
index.Tensor(Tensor self, Tensor?[] indices) -> Tensor
index_select.default(Tensor self, int dim, Tensor index) -> Tensor
scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor
scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor
scatter_add.default(Tensor self, int dim, Tensor index, Tensor src) -> Tensor
scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor
index_put.default(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor
index_add.default(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor
index_copy.default(Tensor self, int dim, Tensor index, Tensor source) -> Tensor
index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor
slice_scatter.default(Tensor self, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor
select_scatter.default(Tensor self, Tensor src, int dim, int index) -> Tensor
diagonal_scatter.default(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor
topk.default(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)
sort.default(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)
sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)
argsort.default(Tensor self, int dim=-1, bool descending=False) -> Tensor
argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor
searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, \
Tensor? sorter=None) -> Tensor
bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor
one_hot.default(Tensor self, int num_classes=-1) -> Tensor
take_along_dim.default(Tensor self, Tensor indices, int? dim=None) -> Tensor
# making and copying
full.default(int[] size, Scalar fill_value, *, dtype? dtype=None) -> Tensor
zeros.default(int[] size, *, dtype? dtype=None) -> Tensor
ones.default(int[] size, *, dtype? dtype=None) -> Tensor
arange.default(Scalar end, *, dtype? dtype=None) -> Tensor
arange.start(Scalar start, Scalar end, *, dtype? dtype=None) -> Tensor
arange.start_step(Scalar start, Scalar end, Scalar step=1, *, dtype? dtype=None) -> Tensor
linspace.default(Scalar start, Scalar end, int steps, *, dtype? dtype=None) -> Tensor
eye.default(int n, *, dtype? dtype=None) -> Tensor
eye.m(int n, int m, *, dtype? dtype=None) -> Tensor
scalar_tensor.default(Scalar s, *, dtype? dtype=None) -> Tensor
full_like.default(Tensor self, Scalar fill_value, *, dtype? dtype=None, MemoryFormat? memory_format=None) -> Tensor
zeros_like.default(Tensor self, *, dtype? dtype=None, MemoryFormat? memory_format=None) -> Tensor
ones_like.default(Tensor self, *, dtype? dtype=None, MemoryFormat? memory_format=None) -> Tensor
new_zeros.default(Tensor self, int[] size, *, dtype? dtype=None) -> Tensor
new_ones.default(Tensor self, int[] size, *, dtype? dtype=None) -> Tensor
new_full.default(Tensor self, int[] size, Scalar fill_value, *, dtype? dtype=None) -> Tensor
_to_copy.default(Tensor self, *, dtype? dtype=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor
clone.default(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor
copy.default(Tensor self, Tensor src, bool non_blocking=False) -> Tensor
fill.Scalar(Tensor self, Scalar value) -> Tensor
fill.Tensor(Tensor self, Tensor value) -> Tensor
tril_indices.default(int row, int col, int offset=0, *, dtype? dtype=4) -> Tensor
triu_indices.default(int row, int col, int offset=0, *, dtype? dtype=4) -> Tensor
# pooling
avg_pool1d.default(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], bool ceil_mode=False, \
bool count_include_pad=True) -> Tensor
"""
