"""Layers in oneDNN itself, through its C API: PyPI's package `onednn` is the library alone, built for SYCL and TBB.

The numbers of the API are those of dnnl_types.h and dnnl_common_types.h of oneDNN 3.13.
"""
import ctypes
import os
from functools import cache
from importlib import metadata

import torch
from torch import nn

CPU, IN_ORDER = 1, 1
FORWARD_INFERENCE, CONVOLUTION_AUTO, FORMAT_ANY, QUERY_WEIGHTS = 96, 3, 1, 131
SOURCE, DESTINATION, WEIGHTS, BIAS = 1, 17, 33, 41
TYPES = {torch.float32: 3, torch.bfloat16: 2}
MOST_DIMENSIONS = 12
ALLOCATE = ctypes.c_void_p(-1)
NEEDED = "libtbb.so.12", "libintlc.so.5", "libimf.so", "libsvml.so", "libsycl.so.9"
"""What libdnnl.so.3 is linked to, in an order in which each finds what it needs."""


class Argument(ctypes.Structure):
    """dnnl_exec_arg_t."""
    _fields_ = [("number", ctypes.c_int), ("memory", ctypes.c_void_p)]


class GlobalControl(ctypes.Structure):
    """tbb::global_control; its parameter 0 is the number of threads that may work at once."""
    _fields_ = [("value", ctypes.c_size_t), ("reserved", ctypes.c_ssize_t), ("parameter", ctypes.c_int)]


@cache
def library():
    """ImportError where the package is not installed. It does not say where the libraries it needs are: they are loaded first, by path,
    and before OpenVINO, which brings a TBB of the same name that is too old. SYCL's processor is an OpenCL driver, which its package
    registers with a path of conda's."""
    folder = next(f.locate() for f in metadata.files("onednn") if f.name == "libdnnl.so.3").resolve().parent
    os.environ.setdefault("OCL_ICD_FILENAMES", str(folder / "libintelocl.so"))
    for name in NEEDED:
        ctypes.CDLL(str(folder / name))
    return ctypes.CDLL(str(folder / "libdnnl.so.3"))


def call(name, *arguments):
    status = getattr(library(), name)(*arguments)
    if status:
        raise RuntimeError(f"{name}: status {status} of dnnl_status_t")


def create(name, *arguments):
    """What a function puts behind its first argument. Nothing is destroyed: a benchmark makes a handful."""
    made = ctypes.c_void_p()
    call(name, ctypes.byref(made), *arguments)
    return made


@cache
def engine():
    return create("dnnl_engine_create", CPU, ctypes.c_size_t(0))


@cache
def stream():
    return create("dnnl_stream_create", engine(), IN_ORDER)


@cache
def limit(threads):
    """Lets TBB, which has neither an environment variable nor a C API, work with so many threads as long as the result lives."""
    control = GlobalControl(threads, 0, 0)
    library()._ZN3tbb6detail2r16createERNS0_2d114global_controlE(ctypes.byref(control))
    return control


def dimensions(values):
    return (ctypes.c_int64 * MOST_DIMENSIONS)(*values)


def description(tensor):
    """Shape, type and strides, which tell channels-last too."""
    shape, strides = dimensions(tensor.shape), dimensions(tensor.stride())
    return create("dnnl_memory_desc_create_with_strides", tensor.ndim, shape, TYPES[tensor.dtype], strides)


def any_order(tensor):
    """A description that leaves the order of the elements to the layer."""
    return create("dnnl_memory_desc_create_with_tag", tensor.ndim, dimensions(tensor.shape), TYPES[tensor.dtype], FORMAT_ANY)


def memory(tensor):
    return create("dnnl_memory_create", description(tensor), engine(), ctypes.c_void_p(tensor.data_ptr()))


def execute(primitive, memories):
    """Waits for the result too."""
    call("dnnl_primitive_execute", primitive, stream(), len(memories), memories)
    call("dnnl_stream_wait", stream())


def arguments(memories):
    return (Argument * len(memories))(*((number, found.value) for number, found in memories.items()))


def packed(weights, order):
    """The weights in the order that a layer asks for."""
    result = create("dnnl_memory_create", order, engine(), ALLOCATE)
    reorder = create("dnnl_reorder_primitive_desc_create", description(weights), engine(), order, engine(), None)
    execute(create("dnnl_primitive_create", reorder), arguments({SOURCE: memory(weights), DESTINATION: result}))
    return result


def forward(kind, before, source, weights, bias, destination, after):
    """-> one forward pass into `destination`, which it returns; `before` and `after` go around the descriptions of the tensors."""
    limit(torch.get_num_threads())
    descriptions = description(source), any_order(weights), description(bias), description(destination)
    layer = create(f"dnnl_{kind}_primitive_desc_create", engine(), *before, *descriptions, *after, None)
    order = ctypes.c_void_p()
    call("dnnl_primitive_desc_query", layer, QUERY_WEIGHTS, 0, ctypes.byref(order))
    primitive = create("dnnl_primitive_create", layer)
    tensors = {SOURCE: source, BIAS: bias, DESTINATION: destination}
    memories = arguments({number: memory(tensor) for number, tensor in tensors.items()} | {WEIGHTS: packed(weights, order)})

    def run():
        execute(primitive, memories)
        # Named here, the tensors live as long as this function.
        return tensors[DESTINATION]

    return run


def convolution(channels, size, dtype):
    """3x3, padding 1, one image, channels-last."""
    x = torch.randn(1, channels, size, size).to(dtype).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(channels, channels, 3, padding=1).to(dtype).requires_grad_(False)
    one, none = dimensions([1, 1]), dimensions([0, 0])
    before, after = (FORWARD_INFERENCE, CONVOLUTION_AUTO), (one, none, one, one)
    return forward("convolution_forward", before, x, layer.weight, layer.bias, torch.empty_like(x), after)


def linear(rows, inputs, outputs, dtype):
    x, layer = torch.randn(rows, inputs).to(dtype), nn.Linear(inputs, outputs).to(dtype).requires_grad_(False)
    return forward("matmul", (), x, layer.weight.t(), layer.bias[None], torch.empty(rows, outputs, dtype=dtype), ())
