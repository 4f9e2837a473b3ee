"""Decodes every pixel of every frame of an image with Pillow; runs in the decoding child."""

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

#: The most pixels all frames of one image may have together, and the most frames.
MAX_PIXELS = 128 << 20
MAX_FRAMES = 2000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode_image(path: Path) -> str | None:
    """Return what is wrong with the image at `path`, None when all of it decodes."""
    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            return _frames(image)
    except UnidentifiedImageError:
        return "it is no image that can be opened"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels: a decompression bomb?"
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        return f"it does not decode: {error}"


def _frames(image: Image.Image) -> str | None:
    frames = getattr(image, "n_frames", 1)
    if frames > MAX_FRAMES or frames * image.width * image.height > MAX_PIXELS * 4:
        return f"its {frames:,} frames hold too many pixels: a decompression bomb?"
    for number in range(frames):
        image.seek(number)
        image.load()
    return None
