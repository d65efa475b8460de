"""Draw a scene: 84×84 RGB pixels, nine cells of 28 pixels, one solid icon an object.

Reads a scene, returns an image or its PNG bytes. A cell's pixels depend on its object alone, so
equal cells are equal pixels (training encodes each distinct cell once). Icons are saturated and
differ in shape, colour and stripes; drawing uses no antialiasing, hence the same pixels anywhere.
"""

import io

from PIL import Image, ImageDraw

from qibox.mini.world import CELL_PIXELS, CELLS, SIDE, Icon, Scene

FLOOR = (236, 232, 224)
EDGE = (204, 198, 188)

DISC = "disc"
_POLYGONS: dict[str, tuple[tuple[int, int], ...]] = {
    "square": ((5, 5), (22, 5), (22, 22), (5, 22)),
    "triangle": ((13, 3), (24, 23), (3, 23)),
    "diamond": ((13, 2), (25, 13), (13, 25), (2, 13)),
    "bar": ((2, 9), (25, 9), (25, 18), (2, 18)),
}
SHAPES = (DISC, *_POLYGONS)


def draw_cell(icon: Icon | None) -> Image.Image:
    """Draw one cell of 28×28 pixels: the floor, and an object's icon if there is one."""
    cell = Image.new("RGB", (CELL_PIXELS, CELL_PIXELS), FLOOR)
    pen = ImageDraw.Draw(cell)
    pen.rectangle((0, 0, CELL_PIXELS - 1, CELL_PIXELS - 1), outline=EDGE)
    if icon is None:
        return cell
    shape, colour, stripes = icon
    mask = Image.new("1", cell.size, 0)
    stencil = ImageDraw.Draw(mask)
    if shape == DISC:
        stencil.ellipse((4, 4, 23, 23), fill=1)
    else:
        stencil.polygon(_POLYGONS[shape], fill=1)
    paint = Image.new("RGB", cell.size, colour)
    if stripes is not None:
        brush = ImageDraw.Draw(paint)
        for left in range(0, CELL_PIXELS, 6):
            brush.rectangle((left, 0, left + 2, CELL_PIXELS - 1), fill=stripes)
    cell.paste(paint, (0, 0), mask)
    return cell


def draw_scene(scene: Scene) -> Image.Image:
    """Draw the nine cells of a scene, row by row from the top left."""
    picture = Image.new("RGB", (SIDE * CELL_PIXELS, SIDE * CELL_PIXELS), FLOOR)
    for cell in range(CELLS):
        corner = (cell % SIDE * CELL_PIXELS, cell // SIDE * CELL_PIXELS)
        name = scene.cells[cell]
        icon = None if name is None else scene.world.things[name].icon
        picture.paste(draw_cell(icon), corner)
    return picture


def png_bytes(picture: Image.Image) -> bytes:
    """Encode as PNG, lossless; the bytes may differ between zlib builds, the pixels do not."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
