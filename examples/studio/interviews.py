"""Pictures of the author interviews: three rooms, three portraits. The mouth follows the voice's loudness,
which the timeline carries for every frame. `interviews.py TIMELINE FRAMES NAME`."""

import json
import math
import sys

from svg import FPS, SANS, SERIF, W, H, clamp, ease, lerp, mix, noise, render, window, wobble

PAPER = "#f6f1e4"
GREEN = "#1f6f5c"


class Sitter:
    """How somebody looks: colours and the cut of the hair."""

    def __init__(self, name, book, skin, hair, cut, coat, glasses, x, y, scale):
        self.name, self.book, self.skin, self.hair, self.cut, self.coat, self.glasses = name, book, skin, hair, cut, coat, glasses
        self.x, self.y, self.scale = x, y, scale


INES = Sitter("Ines Calloway", "The Keeper's Blank Page", "#e3b596", "#8d8a8f", "bob", "#27465c", True, 610, 300, 1.12)
TOMAS = Sitter("Tomas Brandt", "All Stations to Velm", "#d9a27c", "#3a2a20", "beard", "#6d4a2f", False, 600, 300, 1.12)
RUTH = Sitter("Ruth Adeyemi", "A Field Guide to Fog", "#7c4f35", "#1d1614", "curls", "#b5533c", True, 600, 300, 1.12)


def portrait(f, who, t, level, speaking):
    """Head and shoulders around (0, 0), which lies at the chin's height."""
    sway, nod = 3.2 * wobble(t * 0.8, 1), 2.6 * wobble(t * 1.1, 3) + (4.0 * level if speaking else 2.2 * max(0, math.sin(t * 1.4)) ** 6)
    shade = mix(who.skin, "#3a1f1a", 0.22)
    f.open(transform=f"translate({who.x} {who.y}) scale({who.scale})")
    f.path(f"M-170,260 C-165,120 -110,92 -46,{80 + nod * 0.2:.1f} L46,{80 + nod * 0.2:.1f} C110,92 165,120 170,260 Z", f.gradient([(0, mix(who.coat, "#ffffff", 0.12)), (1, mix(who.coat, "#000000", 0.35))]))
    f.path("M-46,82 L0,140 L46,82 L30,76 L-30,76 Z", PAPER)
    f.path("M-46,80 L-62,128 L-8,178 L0,140 Z M46,80 L62,128 L8,178 L0,140 Z", mix(who.coat, "#000000", 0.18))
    for button in range(3):
        f.circle(0, 190 + button * 28, 4, mix(who.coat, "#000000", 0.5))
    for thread in range(9):
        f.path(f"M{-150 + thread * 36},260 C{-140 + thread * 34},190 {-120 + thread * 30},150 {-100 + thread * 25},{118 + abs(thread - 4) * 4}", stroke="#000", stroke_width=1, opacity=0.12)
    f.rect(-27, 30, 54, 62, shade, rx=22)
    f.open(transform=f"translate({sway:.2f} {nod:.2f}) rotate({1.6 * wobble(t * 0.7, 5):.2f} 0 40)")
    if who.cut == "bob":
        f.path("M-86,-40 C-98,-150 98,-150 86,-40 C92,10 88,44 74,58 L-74,58 C-88,44 -92,10 -86,-40 Z", mix(who.hair, "#000000", 0.18))
    if who.cut == "curls":
        rnd = noise(8)
        for k in range(46):
            a = math.pi * (0.94 + 1.12 * k / 45)
            r = rnd.uniform(72, 98)
            f.circle(math.cos(a) * r, -46 + math.sin(a) * r * 0.95, rnd.uniform(17, 25), mix(who.hair, "#5a3b2a", rnd.uniform(0, 0.35)))
    f.ellipse(-70, -18, 11, 19, shade)
    f.ellipse(70, -18, 11, 19, shade)
    f.path("M-70,-50 C-72,-128 72,-128 70,-50 C74,14 46,66 0,68 C-46,66 -74,14 -70,-50 Z", f.gradient([(0, mix(who.skin, "#ffffff", 0.10)), (1, mix(who.skin, "#5a2a20", 0.14))]))
    f.ellipse(-40, 14, 15, 9, "#c8553f", opacity=0.16)
    f.ellipse(40, 14, 15, 9, "#c8553f", opacity=0.16)
    if who.cut == "beard":
        f.path("M-70,-20 C-66,60 -36,92 0,94 C36,92 66,60 70,-20 C58,14 40,18 0,16 C-40,18 -58,14 -70,-20 Z", who.hair)
        rnd = noise(5)
        for _ in range(60):
            a, r = rnd.uniform(0.15, math.pi - 0.15), rnd.uniform(48, 84)
            x, y = math.cos(a) * r * 0.75, math.sin(a) * r
            f.line(x, y, x + rnd.uniform(-3, 3), y + rnd.uniform(4, 9), mix(who.hair, "#a58463", 0.5), 1.1)
    # The mouth: opened by the voice.
    gap = 15 * clamp(level * 2.1) if speaking else 0.0
    lip = mix(who.skin, "#8e2f2f", 0.5)
    f.path(f"M-24,31 Q0,{35 - gap * 0.35:.1f} 24,31 Q0,{43 + gap:.1f} -24,31 Z", "#4a1716", stroke=lip, stroke_width=3.2, stroke_linejoin="round")
    if gap > 5:
        f.path(f"M-14,33 Q0,{35 - gap * 0.3:.1f} 14,33 L11,37.5 L-11,37.5 Z", "#f3ece2")
    f.path("M-3,-16 C-12,4 -14,12 0,15", stroke=mix(who.skin, "#3a1f1a", 0.4), stroke_width=2.6, stroke_linecap="round")
    # Eyes: a blink every few seconds, a glance to the side now and then.
    blink = max(0.08, 1 - max(0, 1 - abs((t % 3.7) - 1.9) / 0.11))
    glance = 3.2 * clamp(3 * wobble(t * 0.5, 9), -1, 1)
    for side in (-1, 1):
        f.ellipse(side * 29, -26, 11.5, 7.5 * blink, "#fbf8f2")
        if blink > 0.4:
            f.circle(side * 29 + glance, -26, 5.4, "#3b4a3a" if who.cut != "curls" else "#2a1a12")
            f.circle(side * 29 + glance + 1.8, -28, 1.6, "#fff")
        f.path(f"M{side * 29 - 12},{-26 - 7 * blink:.1f} Q{side * 29},{-29 - 8 * blink:.1f} {side * 29 + 12},{-26 - 7 * blink:.1f}", stroke="#2a1a16", stroke_width=2.4)
        raise_ = 3 * max(0, wobble(t * 0.9, 7)) + (2.5 * level if speaking else 0)
        f.path(f"M{side * 15},{-43 - raise_:.1f} Q{side * 30},{-51 - raise_:.1f} {side * 45},{-42 - raise_:.1f}", stroke=mix(who.hair, "#000000", 0.2), stroke_width=5, stroke_linecap="round")
    if who.glasses:
        for side in (-1, 1):
            f.circle(side * 29, -25, 20, "#dff0ff", fill_opacity=0.12, stroke="#2b2522", stroke_width=3)
            f.path(f"M{side * 29 - 11},-35 l8,-3", stroke="#fff", stroke_width=2.4, opacity=0.6)
        f.path("M-9,-27 Q0,-32 9,-27 M-49,-27 L-69,-30 M49,-27 L69,-30", stroke="#2b2522", stroke_width=3)
    if who.cut == "bob":
        f.path("M-78,-30 C-84,-140 -14,-138 -8,-112 C20,-140 90,-128 78,-30 C70,-70 40,-88 -6,-90 C-50,-88 -70,-66 -78,-30 Z", who.hair)
        for strand in range(9):
            f.path(f"M{-6 + strand * 3},-112 C{-40 + strand * 14},-110 {-70 + strand * 18},-80 {-76 + strand * 19},{-44 - (strand * (8 - strand))}", stroke="#c9c6cb", stroke_width=1.3, opacity=0.5)
    elif who.cut == "beard":
        f.path("M-74,-36 C-92,-130 -40,-146 10,-138 C70,-140 92,-90 74,-36 C66,-62 60,-78 44,-88 C10,-78 -30,-82 -54,-92 C-66,-76 -70,-58 -74,-36 Z", who.hair)
    f.close()
    f.close()


def books(f, x, y, w, h, seed):
    """A shelf of books, each with bands and a leaning end."""
    rnd = noise(seed)
    colours = ["#7b2d26", "#274c5e", "#c9a227", "#3f5d45", "#5b3a5e", "#b86b3c", "#d8cfbb", "#2f2f3a", "#8a8f6a"]
    at = x
    while at < x + w - 12:
        width, height = rnd.uniform(11, 25), h * rnd.uniform(0.68, 0.96)
        colour = rnd.choice(colours)
        f.rect(at, y + h - height, width - 1.2, height, colour, rx=1.5)
        f.rect(at + 2, y + h - height + 8, width - 5.2, 3, PAPER, opacity=0.55)
        if width > 16:
            f.rect(at + width / 2 - 2.5, y + h - height * 0.7, 4, height * 0.36, PAPER, opacity=0.4)
        f.rect(at + 2, y + h - 14, width - 5.2, 2, PAPER, opacity=0.45)
        at += width
    f.rect(x - 8, y + h, w + 16, 8, "#4a3323")


def study(f, t):
    """A study in the rain: shelves, a lamp, a window that the drops run down."""
    f.rect(0, 0, W, H, f.gradient([(0, "#4d3b30"), (1, "#2c211b")], 0, 0, 1, 0))
    for shelf in range(4):
        f.rect(500, 20 + shelf * 122, 480, 116, "#2a1d15")
        books(f, 508, 24 + shelf * 122, 470, 104, 20 + shelf)
    f.rect(0, 0, 500, H, "#5a4638")
    for stripe in range(13):
        f.rect(stripe * 40, 0, 2, H, "#4f3d31")
    f.rect(52, 44, 330, 330, "#e9dfcc")
    f.open(clip_path=f.clip(66, 58, 302, 302))
    f.rect(66, 58, 302, 302, f.gradient([(0, "#56707f"), (0.6, "#8ea3a8"), (1, "#5a6b62")]))
    for hill in range(3):
        f.path("M60,360 " + " ".join(f"L{60 + x},{250 + hill * 30 - 20 * math.sin(x * 0.018 + hill * 2):.0f}" for x in range(0, 330, 20)) + " L400,360 Z", mix("#6f8791", "#42554b", hill / 2))
    f.rect(250, 214, 9, 44, "#e6e2d6")
    if math.sin(t * 1.5) > 0.3:
        f.circle(254, 212, 22, f.glow([(0, "#fff3b0", 0.9), (1, "#fff3b0", 0)]))
    rnd = noise(4)
    for drop in range(90):
        x, speed, phase = rnd.uniform(66, 368), rnd.uniform(120, 330), rnd.uniform(0, 400)
        y = 40 + (t * speed + phase) % 360
        f.line(x, y, x - 3, y + speed / 16, "#e6f1f5", 1.1, opacity=0.45)
    for bead in range(60):
        x, y = rnd.uniform(66, 368), rnd.uniform(58, 360)
        slide = (t * rnd.uniform(2, 26)) % 120
        f.ellipse(x, 58 + (y - 58 + slide) % 302, 1.8, 2.8, "#f3fafc", opacity=0.6)
    f.close()
    f.rect(214, 58, 7, 302, "#e9dfcc")
    f.rect(66, 204, 302, 7, "#e9dfcc")
    f.rect(36, 374, 362, 16, "#d8ccb4")
    f.circle(414, 250, 240, f.glow([(0, "#ffd891", 0.50 + 0.02 * wobble(t * 6)), (1, "#ffd891", 0)]))
    f.rect(410, 262, 8, 176, "#8c7442")
    f.path("M368,262 L390,196 L438,196 L460,262 Z", f.gradient([(0, "#ffe9b5"), (1, "#f5c56a")]))
    f.rect(0, 436, W, 104, f.gradient([(0, "#6a4a31"), (1, "#3b281a")]))
    # The ledger, open on the desk.
    f.path("M120,462 L244,452 L250,520 L104,530 Z", "#efe5cd")
    f.path("M244,452 L372,462 L392,530 L250,520 Z", "#e6dabf")
    for row in range(7):
        f.line(130 - row * 2, 468 + row * 8, 236, 461 + row * 8, "#54606e", 1)
        if row != 3:
            f.line(256, 461 + row * 8, 362 + row * 2.4, 469 + row * 8, "#54606e", 1)
    steam = [(452 + 5 * math.sin(y * 0.16 + t * 2.2), 470 - y) for y in range(0, 44, 3)]
    f.poly(steam, close=False, stroke="#fff", stroke_width=3, opacity=0.25)
    f.rect(432, 470, 40, 36, "#274c5e", rx=5)
    f.path("M470,478 q17,3 2,20", stroke="#274c5e", stroke_width=5)


def compartment(f, t):
    """A stopping train: fields, washing lines and poles pass the window at their own speeds."""
    f.rect(0, 0, W, H, "#5e4433")
    f.open(clip_path=f.clip(40, 40, 880, 320, 18))
    f.rect(40, 40, 880, 320, f.gradient([(0, "#8fc1dd"), (0.7, "#f4e4c2"), (1, "#f4e4c2")]))
    for cloud in range(6):
        x = (cloud * 230 - t * 7) % 1300 - 180
        for puff in range(4):
            f.ellipse(x + puff * 36, 90 + (cloud % 3) * 30, 48, 14 - abs(puff - 1.5) * 3, "#fff", opacity=0.7)
    for layer, (base, height, speed, colour) in enumerate([(240, 60, 16, "#a9b9a0"), (262, 40, 44, "#8aa374"), (290, 26, 100, "#6f9150")]):
        points = [(0, 400)]
        for x in range(0, W + 24, 24):
            place = (x + t * speed) / 150
            points.append((x, base - height * (0.5 + 0.3 * math.sin(place + layer * 2) + 0.2 * math.sin(place * 2.7 + layer))))
        f.poly(points + [(W, 400)], colour)
        if layer == 1:
            for house in range(5):
                x = (house * 331 - t * speed * 1.5) % 1655 - 200
                f.rect(x, 226, 50, 34, "#efe3cd")
                f.poly([(x - 6, 227), (x + 25, 202), (x + 56, 227)], "#b4553d")
                f.rect(x + 8, 236, 10, 10, "#5d7687")
                f.rect(x + 30, 236, 10, 10, "#5d7687")
                f.rect(x + 38, 200, 6, 14, "#8a4634")
                for shirt in range(5):
                    sx = x + 66 + shirt * 17
                    lift = 3 * math.sin(t * 4 + shirt + house)
                    f.path(f"M{sx:.1f},238 h12 l{1 + lift * 0.4:.1f},{15 + lift * 0.5:.1f} h-12 Z", ["#fff", "#d2574a", "#fff", "#4b7ea8", "#f0c84e"][shirt])
                f.line(x + 56, 237, x + 156, 237, "#555", 1)
    for tree in range(9):
        x = (tree * 179 - t * 190) % 1611 - 250
        f.rect(x - 4, 280, 8, 50, "#5b432f")
        f.circle(x, 262 + (tree * 7) % 14, 30 + (tree * 5) % 12, "#4d7a3c")
        f.circle(x + 16, 274, 22, "#5c8b48")
    f.rect(40, 318, 880, 50, "#7d9a55")
    for tuft in range(60):
        x = (tuft * 37.7 - t * 420) % 2262 - 400
        f.line(x, 362, x + 10, 338 - (tuft * 13) % 12, "#5f7c3e", 2.4)
    for pole in range(3):
        x = (pole * 640 - t * 520) % 1920 - 320
        f.rect(x, 60, 11, 310, "#4c3a2c")
        f.rect(x - 26, 84, 64, 7, "#4c3a2c")
    for wire in range(2):
        points = [(x, 86 + wire * 14 + 26 * (1 - (((x + 320 + t * 520) % 640) / 320 - 1) ** 2)) for x in range(40, 930, 20)]
        f.poly(points, close=False, stroke="#3b3b3b", stroke_width=1.6)
    # Velm, once in a while: a platform sign.
    x = 1150 - ((t - 13.0) * 260)
    if -300 < x < 1100:
        f.rect(x - 160, 330, 520, 40, "#b9ad9a")
        f.rect(x, 232, 150, 44, "#274c5e", rx=4)
        f.text(x + 75, 264, "VELM", 30, "#fff", SANS, "middle", font_weight="bold", letter_spacing=5)
        f.rect(x + 18, 276, 7, 60, "#3b3b3b")
        f.rect(x + 124, 276, 7, 60, "#3b3b3b")
        f.circle(x + 240, 218, 25, "#fff", stroke="#222", stroke_width=4)
        f.line(x + 240, 218, x + 252, 206, "#222", 3)
        f.line(x + 240, 218, x + 232, 202, "#222", 3)
        f.rect(x + 237, 243, 6, 92, "#3b3b3b")
    f.poly([(120, 40), (250, 40), (60, 360), (40, 360), (40, 170)], "#fff", opacity=0.10)
    f.poly([(330, 40), (370, 40), (180, 360), (140, 360)], "#fff", opacity=0.08)
    f.close()
    jolt = 1.4 * math.sin(t * 13) * max(0, wobble(t * 1.4))
    f.rect(30, 30, 900, 340, "none", rx=22, stroke="#8a6a4e", stroke_width=14)
    f.rect(0, 372, W, 170, f.gradient([(0, "#4f3827"), (1, "#33241a")]))
    # Seats, and the little table with a notebook and a glass whose water will not stay still.
    f.path(f"M420,{540 + jolt:.1f} L420,250 Q424,214 470,212 L740,212 Q786,214 790,250 L790,540 Z", f.gradient([(0, "#2f6b5f"), (1, "#1d463f")]))
    for seam in range(4):
        f.rect(484 + seam * 74, 222, 2, 320, "#173a34", opacity=0.6)
    f.rect(500, 214, 210, 60, "#ece4d2", rx=8)
    f.path(f"M60,{440 + jolt:.1f} L400,{440 + jolt:.1f} L420,{462 + jolt:.1f} L40,{462 + jolt:.1f} Z", "#a9784c")
    f.rect(40, 462 + jolt, 380, 9, "#7d5636")
    f.path(f"M110,{442 + jolt:.1f} L230,{442 + jolt:.1f} L240,{456 + jolt:.1f} L102,{456 + jolt:.1f} Z", PAPER)
    for row in range(3):
        f.line(122, 446 + row * 4 + jolt, 218, 446 + row * 4 + jolt, "#8b8f98", 1)
    tilt = 3 * wobble(t * 5)
    f.poly([(310, 404 + jolt - tilt), (346, 404 + jolt + tilt), (343, 446 + jolt), (313, 446 + jolt)], "#bfe0ee", opacity=0.75)
    f.path(f"M307,{384 + jolt:.1f} L349,{384 + jolt:.1f} L343,{448 + jolt:.1f} L313,{448 + jolt:.1f} Z", "#fff", fill_opacity=0.14, stroke="#e8f3f7", stroke_width=2)


def harbour(f, t):
    """A quay at night: masts that sway, a light that sweeps, and fog in drifting banks."""
    f.rect(0, 0, W, H, f.gradient([(0, "#101c2c"), (0.6, "#35506a"), (1, "#1c2d3c")]))
    rnd = noise(2)
    for _ in range(60):
        f.circle(rnd.uniform(0, W), rnd.uniform(0, 200), rnd.uniform(0.5, 1.4), "#fff", opacity=rnd.uniform(0.2, 0.7) * (0.7 + 0.3 * math.sin(t * 3 + rnd.uniform(0, 6))))
    f.circle(770, 96, 150, f.glow([(0, "#f6edd0", 0.6), (1, "#f6edd0", 0)]))
    f.circle(770, 96, 34, "#f6edd0")
    f.circle(759, 88, 7, "#ded3b0")
    f.circle(780, 106, 5, "#ded3b0")
    for house in range(11):
        x, h = house * 92 - 20, 50 + (house * 37) % 46
        f.rect(x, 290 - h, 84, h, mix("#22303f", "#2e3f50", (house % 3) / 2))
        f.poly([(x - 4, 290 - h), (x + 42, 262 - h), (x + 88, 290 - h)], "#1a2632")
        for pane in range(4):
            lit = (house * 5 + pane * 3) % 7 < 3
            f.rect(x + 12 + (pane % 2) * 36, 300 - h + (pane // 2) * 26, 16, 15, "#ffd27a" if lit else "#18222d")
    f.rect(0, 288, W, 252, f.gradient([(0, "#2b4358"), (1, "#0f1c28")]))
    for glint in range(110):
        y = 292 + (glint * 41) % 190
        x = 770 + 60 * math.sin(glint * 7.7) * (y - 270) / 90 if glint % 2 else (glint * 89) % W
        f.rect(x + 9 * math.sin(t * 1.6 + glint), y, 16 + glint % 18, 1.5, "#f6edd0" if glint % 2 else "#7fa0b8", opacity=0.15 + 0.3 * abs(math.sin(t * 1.3 + glint)))
    for boat in range(4):
        x, y, roll = 90 + boat * 175, 330 + (boat % 2) * 26, 3 * wobble(t * 1.1, boat * 2)
        f.open(transform=f"translate({x} {y + 2 * math.sin(t * 1.3 + boat):.2f}) rotate({roll:.2f})")
        f.path("M-66,0 L70,0 L52,28 L-48,28 Z", ["#8a2f2a", "#24506b", "#d5cdbb", "#3d5b44"][boat])
        f.rect(-66, 0, 136, 5, PAPER, opacity=0.7)
        f.rect(-22, -28, 44, 28, "#e8e0cf")
        f.rect(-14, -22, 12, 11, "#ffd27a")
        f.rect(4, -22, 12, 11, "#31465a")
        f.line(-4, -28, -4, -150, "#c9bfa9", 4)
        f.line(-4, -146, 66, 0, "#9fa6ac", 1.2)
        f.line(-4, -146, -62, 0, "#9fa6ac", 1.2)
        f.line(-4, -60, 40, -34, "#c9bfa9", 3)
        f.circle(-4, -152, 3.4, "#ff6a50" if boat % 2 else "#7dff9a")
        f.close()
    sweep = math.sin(t * 0.9)
    f.poly([(900, 208), (900 - 900 * sweep, 90), (900 - 900 * sweep, 330)],
           f.gradient([(0, "#fff7d6", 0.32), (0.8, "#fff7d6", 0)], *((1, 0, 0, 0) if sweep > 0 else (0, 0, 1, 0))))
    f.poly([(890, 290), (894, 214), (906, 214), (910, 290)], PAPER)
    f.rect(893, 200, 14, 14, "#fff3b0")
    f.path("M890,200 L900,188 L910,200 Z", "#8a2f2a")
    for bank in range(16):
        x = (bank * 149 + t * (9 + bank % 5 * 5)) % 1500 - 300
        y = 240 + (bank * 53) % 190
        f.ellipse(x, y, 230, 26 + bank % 4 * 7, f.glow([(0, "#d6e0e6", 0.34), (1, "#d6e0e6", 0)]))
    f.path("M0,470 L960,452 L960,540 L0,540 Z", f.gradient([(0, "#4a4f55"), (1, "#25282c")]))
    for stone in range(14):
        f.line(stone * 74, 470 - stone * 1.4, stone * 74 - 26, 540, "#1c1f22", 1.6)
    f.rect(330, 428, 34, 40, "#2b2e32", rx=8)
    f.rect(322, 422, 50, 12, "#3a3e43", rx=5)
    f.path("M347,440 C420,500 470,470 480,540", stroke="#b9a57a", stroke_width=7)


def card(f, t, who, cue, length):
    """Names below, the question above, the title at the start and the book at the end."""
    shown = window(1.6, 8.5, t, 0.6)
    if shown > 0:
        f.open(opacity=shown)
        width = 360 * ease(1.6, 2.6, t)
        f.rect(44, 416, width, 76, PAPER)
        f.rect(44, 416, 6, 76, GREEN)
        f.open(clip_path=f.clip(44, 416, width, 76))
        f.text(66, 450, who.name, 25, "#20302b", SERIF, font_weight="bold")
        f.text(66, 476, f"author of {who.book}", 15, "#4c5a55", SERIF, font_style="italic")
        f.close()
        f.close()
    if cue and cue["voice"] == "nora":
        shown = window(cue["start"] - 0.1, cue["end"] + 0.3, t, 0.25)
        if shown > 0:
            words, lines, line = cue["en"].split(), [], ""
            for word in words:
                if len(line) + len(word) > 30:
                    lines.append(line)
                    line = ""
                line = f"{line} {word}".strip()
            lines.append(line)
            f.open(opacity=shown)
            f.rect(44, 40, 366, 34 + 27 * len(lines), "#14201c", rx=4, opacity=0.82)
            for number, line in enumerate(lines):
                f.text(64, 75 + number * 27, line, 20, PAPER, SERIF, font_style="italic")
            f.close()
    closing = ease(length - 2.3, length - 1.7, t)
    if closing:
        f.open(opacity=closing)
        f.rect(0, 0, W, H, "#14201c")
        f.rect(190, 120, 200, 300, GREEN, rx=3)
        f.rect(190, 120, 16, 300, "#174f42")
        f.circle(298, 222, 46, stroke=PAPER, stroke_width=2)
        if who is INES:
            f.path("M290,256 L294,204 L302,204 L306,256 Z", PAPER)
            f.poly([(298, 208), (338, 196), (338, 220)], PAPER, opacity=0.5)
        elif who is TOMAS:
            f.path("M262,240 L334,240 M270,250 L326,250 M286,204 L282,250 M310,204 L314,250", stroke=PAPER, stroke_width=3)
        else:
            for wave in range(4):
                f.path(f"M264,{200 + wave * 14} q17,-12 34,0 t34,0", stroke=PAPER, stroke_width=3)
        words = who.book.split()
        half = (len(words) + 1) // 2
        f.text(298, 318, " ".join(words[:half]), 18, PAPER, SERIF, "middle", font_weight="bold")
        f.text(298, 344, " ".join(words[half:]), 18, PAPER, SERIF, "middle", font_weight="bold")
        f.text(298, 398, who.name.upper(), 11, PAPER, SANS, "middle", letter_spacing=2)
        f.text(440, 232, who.book, 30, PAPER, SERIF)
        f.text(440, 268, who.name, 20, "#a9c6bb", SERIF, font_style="italic")
        f.rect(440, 292, 120, 2, GREEN)
        f.text(440, 330, "Saltmarsh Press", 16, PAPER, SANS, letter_spacing=2)
        f.close()


ROOMS = {"ines-calloway": (INES, study), "tomas-brandt": (TOMAS, compartment), "ruth-adeyemi": (RUTH, harbour)}


def main():
    timeline = json.load(open(sys.argv[1], encoding="utf-8"))
    who, room = ROOMS[sys.argv[3]]

    def draw(f, t):
        cue = next((c for c in timeline["cues"] if c["start"] - 0.3 <= t <= c["end"] + 0.3), None)
        speaking = any(c["start"] <= t <= c["end"] and c["voice"] != "nora" for c in timeline["cues"])
        level = timeline["level"][min(round(t * FPS), len(timeline["level"]) - 1)]
        # The camera leans in slowly while the author speaks.
        zoom = 1.02 + 0.05 * t / timeline["seconds"] + 0.006 * wobble(t * 0.5)
        f.open(transform=f"translate({W / 2} {H / 2}) scale({zoom:.4f}) translate({-W / 2 + 3 * wobble(t * 0.6):.2f} {-H / 2:.2f})")
        room(f, t)
        portrait(f, who, t, level, speaking)
        f.close()
        card(f, t, who, cue, timeline["seconds"])
        dark = max(1 - ease(0, 0.6, t), ease(timeline["seconds"] - 0.5, timeline["seconds"], t))
        if dark > 0:
            f.rect(0, 0, W, H, "#000", opacity=dark)

    render(sys.argv[2], timeline["seconds"], draw)


main()
