"""A small drawing vocabulary for the example clips: one SVG file a frame, which ffmpeg (librsvg) turns
into video. It knows shapes, easing and colours; what is drawn lives in the scene files beside it."""

import math
import os
import random

W, H, FPS = 960, 540, 25
SANS, SERIF, MONO = "DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"


def clamp(x, low=0.0, high=1.0):
    return max(low, min(high, x))


def lerp(a, b, t):
    return a + (b - a) * t


def ease(start, end, t):
    """0 before `start`, 1 after `end`, a smooth step between."""
    x = clamp((t - start) / (end - start))
    return x * x * (3 - 2 * x)


def window(start, end, t, fade=0.5):
    """Fades in after `start` and out before `end`."""
    return ease(start, start + fade, t) * (1 - ease(end - fade, end, t))


def mix(a, b, t):
    """Colour between two `#rrggbb` colours."""
    pair = [(int(a[i : i + 2], 16), int(b[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(lerp(x, y, clamp(t))):02x}" for x, y in pair)


def noise(seed):
    """A random source that gives the same numbers on every run."""
    return random.Random(seed)


def wobble(t, seed=0.0):
    """Smooth movement without a visible period, within -1..1."""
    return (math.sin(t * 1.0 + seed) + math.sin(t * 1.73 + seed * 2.1) + math.sin(t * 0.61 + seed * 3.7)) / 3


def fmt(value):
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Frame:
    """One picture. Attributes are keyword arguments; `_` in a name stands for `-`."""

    def __init__(self, width=W, height=H):
        self.width, self.height = width, height
        self.parts, self.defs, self.ids = [], [], 0

    def tag(self, name, body=None, **attributes):
        text = "".join(f' {k.replace("_", "-")}="{fmt(v)}"' for k, v in attributes.items() if v is not None)
        self.parts.append(f"<{name}{text}/>" if body is None else f"<{name}{text}>{body}</{name}>")

    def rect(self, x, y, w, h, fill, **more):
        self.tag("rect", x=float(x), y=float(y), width=float(max(w, 0)), height=float(max(h, 0)), fill=fill, **more)

    def circle(self, x, y, r, fill="none", **more):
        self.tag("circle", cx=float(x), cy=float(y), r=float(max(r, 0)), fill=fill, **more)

    def ellipse(self, x, y, rx, ry, fill="none", **more):
        self.tag("ellipse", cx=float(x), cy=float(y), rx=float(rx), ry=float(ry), fill=fill, **more)

    def line(self, x1, y1, x2, y2, stroke, width=1.0, **more):
        self.tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), stroke=stroke, stroke_width=float(width), **more)

    def path(self, d, fill="none", **more):
        self.tag("path", d=d, fill=fill, **more)

    def poly(self, points, fill="none", close=True, **more):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.tag("polygon" if close else "polyline", points=text, fill=fill, **more)

    def text(self, x, y, text, size=20, fill="#fff", font=SANS, anchor="start", **more):
        self.tag("text", escape(text), x=float(x), y=float(y), font_size=float(size), fill=fill, font_family=font,
                 text_anchor=anchor, **more)

    def arc(self, x, y, r, a0, a1, stroke, width, **more):
        """Part of a circle; degrees, 0 is up, clockwise."""
        p0 = (x + r * math.sin(math.radians(a0)), y - r * math.cos(math.radians(a0)))
        p1 = (x + r * math.sin(math.radians(a1)), y - r * math.cos(math.radians(a1)))
        large = 1 if abs(a1 - a0) > 180 else 0
        sweep = 1 if a1 > a0 else 0
        self.path(f"M{p0[0]:.2f} {p0[1]:.2f}A{r:.2f} {r:.2f} 0 {large} {sweep} {p1[0]:.2f} {p1[1]:.2f}",
                  stroke=stroke, stroke_width=float(width), **more)

    def gradient(self, stops, x1=0.0, y1=0.0, x2=0.0, y2=1.0):
        """Vertical unless told otherwise; `stops` are (offset, colour) or (offset, colour, opacity)."""
        self.ids += 1
        body = "".join(f'<stop offset="{fmt(float(s[0]))}" stop-color="{s[1]}" stop-opacity="{fmt(float(s[2])) if len(s) > 2 else 1}"/>' for s in stops)
        self.defs.append(f'<linearGradient id="g{self.ids}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}">{body}</linearGradient>')
        return f"url(#g{self.ids})"

    def glow(self, stops):
        """A radial gradient, from the middle outwards."""
        self.ids += 1
        body = "".join(f'<stop offset="{fmt(float(s[0]))}" stop-color="{s[1]}" stop-opacity="{fmt(float(s[2])) if len(s) > 2 else 1}"/>' for s in stops)
        self.defs.append(f'<radialGradient id="g{self.ids}">{body}</radialGradient>')
        return f"url(#g{self.ids})"

    def clip(self, x, y, w, h, rx=0.0):
        self.ids += 1
        self.defs.append(f'<clipPath id="g{self.ids}"><rect x="{fmt(float(x))}" y="{fmt(float(y))}" width="{fmt(float(w))}" height="{fmt(float(h))}" rx="{rx}"/></clipPath>')
        return f"url(#g{self.ids})"

    def open(self, **attributes):
        text = "".join(f' {k.replace("_", "-")}="{fmt(v)}"' for k, v in attributes.items() if v is not None)
        self.parts.append(f"<g{text}>")

    def close(self):
        self.parts.append("</g>")

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
                f'viewBox="0 0 {self.width} {self.height}"><defs>{"".join(self.defs)}</defs>{"".join(self.parts)}</svg>')


def render(folder, seconds, draw):
    """Writes `folder/00000.svg` and so on; `draw(frame, seconds)` paints each."""
    os.makedirs(folder, exist_ok=True)
    for index in range(round(seconds * FPS)):
        frame = Frame()
        draw(frame, index / FPS)
        with open(os.path.join(folder, f"{index:05d}.svg"), "w", encoding="utf-8") as out:
            out.write(frame.svg())


def still(path, width, height, draw):
    """One picture of any size."""
    frame = Frame(width, height)
    draw(frame)
    with open(path, "w", encoding="utf-8") as out:
        out.write(frame.svg())
