"""Images: how they are read and written."""

from sodbench.images.grey import (
    ALPHA_TAKEN,
    ALPHA_VARIES,
    LOW_16_BIT,
    LOW_16_BIT_FIX,
    MASK_CODING_FIX,
    GreyImage,
    Pixels,
    describe_levels,
)
from sodbench.images.image_files import (
    IMAGE_EXTENSIONS,
    MAX_PIXELS,
    MAX_PIXELS_VARIABLE,
    UNREAD_EXTENSIONS,
    is_image_name,
    read_bytes,
    read_file,
)
from sodbench.images.png_images import read_comment
from sodbench.images.reading import (
    decode_alpha,
    decode_grey,
    decode_luminance,
    decode_rgb,
    image_size,
    read_grey,
    read_rgb,
)
from sodbench.images.resizing import resize_grey
from sodbench.images.writing import write_grey, write_image

__all__ = [
    "ALPHA_TAKEN",
    "ALPHA_VARIES",
    "IMAGE_EXTENSIONS",
    "LOW_16_BIT",
    "LOW_16_BIT_FIX",
    "MASK_CODING_FIX",
    "MAX_PIXELS",
    "MAX_PIXELS_VARIABLE",
    "UNREAD_EXTENSIONS",
    "GreyImage",
    "Pixels",
    "decode_alpha",
    "decode_grey",
    "decode_luminance",
    "decode_rgb",
    "describe_levels",
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
