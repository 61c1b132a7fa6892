"""Images: how they are read and written.

The names below are imported when they are first used: whoever only lists files does not wait for Pillow.
"""

from typing import TYPE_CHECKING

from sodbench.first_use import import_on_first_use

if TYPE_CHECKING:
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

_MODULE_OF = {
    "ALPHA_TAKEN": "grey",
    "ALPHA_VARIES": "grey",
    "IMAGE_EXTENSIONS": "image_files",
    "LOW_16_BIT": "grey",
    "LOW_16_BIT_FIX": "grey",
    "MASK_CODING_FIX": "grey",
    "MAX_PIXELS": "image_files",
    "MAX_PIXELS_VARIABLE": "image_files",
    "UNREAD_EXTENSIONS": "image_files",
    "GreyImage": "grey",
    "Pixels": "grey",
    "decode_alpha": "reading",
    "decode_grey": "reading",
    "decode_luminance": "reading",
    "decode_rgb": "reading",
    "describe_levels": "grey",
    "image_size": "reading",
    "is_image_name": "image_files",
    "read_bytes": "image_files",
    "read_comment": "png_images",
    "read_file": "image_files",
    "read_grey": "reading",
    "read_rgb": "reading",
    "resize_grey": "resizing",
    "write_grey": "writing",
    "write_image": "writing",
}

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

__getattr__, __dir__ = import_on_first_use(__name__, _MODULE_OF)
