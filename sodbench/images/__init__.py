"""Images: how they are read and written."""

from sodbench.images.limits import (
    IMAGE_EXTENSIONS,
    MAX_PIXELS,
    MAX_PIXELS_VARIABLE,
    is_image_name,
)
from sodbench.images.notes import LOW_16_BIT, LOW_16_BIT_FIX
from sodbench.images.reading import (
    GreyImage,
    decode_grey,
    decode_luminance,
    decode_rgb,
    image_size,
    read_bytes,
    read_comment,
    read_file,
    read_grey,
    read_rgb,
)
from sodbench.images.writing import resize_grey, write_grey, write_image

__all__ = [
    "IMAGE_EXTENSIONS",
    "LOW_16_BIT",
    "LOW_16_BIT_FIX",
    "MAX_PIXELS",
    "MAX_PIXELS_VARIABLE",
    "GreyImage",
    "decode_grey",
    "decode_luminance",
    "decode_rgb",
    "image_size",
    "is_image_name",
    "read_bytes",
    "read_comment",
    "read_file",
    "read_grey",
    "read_rgb",
    "resize_grey",
    "write_grey",
    "write_image",
]
