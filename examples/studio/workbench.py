"""Pictures of the how-to films: an oscilloscope and its probe; a circuit board and a soldering iron.
`workbench.py TIMELINE FRAMES NAME`."""

import json
import math
import sys

from svg import MONO, SANS, W, H, clamp, ease, lerp, mix, noise, render, window, wobble

AMBER = "#f2a33a"
PAPER = "#f5efe2"
COPPER = "#c98a4b"


def mat(f, t):
    """The cutting mat everything lies on."""
    f.rect(0, 0, W, H, f.gradient([(0, "#24474a"), (1, "#16302f")]))
    for x in range(0, W, 24):
        f.line(x, 0, x, H, "#3d6a68", 1.1 if x % 120 == 0 else 0.4)
    for y in range(0, H, 24):
        f.line(0, y, W, y, "#3d6a68", 1.1 if y % 120 == 0 else 0.4)
    for x in range(0, W, 120):
        f.text(x + 4, H - 6, str(x // 24), 9, "#6f9a95", MONO)
    f.circle(480, 120, 620, f.glow([(0, "#fff4d8", 0.16 + 0.01 * wobble(t * 3)), (1, "#fff4d8", 0)]))


def step(f, number, title, t, end):
    """Step number and title at the top."""
    shown = window(0.2, end, t, 0.5)
    f.open(opacity=shown)
    f.rect(0, 26, 90 + len(title) * 15.5, 58, "#12100d", opacity=0.88)
    f.rect(0, 26, 8, 58, AMBER)
    f.circle(48, 55, 19, AMBER)
    f.text(48, 62, str(number), 20, "#12100d", SANS, "middle", font_weight="bold")
    f.text(84, 63, title, 23, PAPER, SANS, font_weight="bold")
    f.close()


def note(f, x, y, text, t, start, colour=AMBER, anchor="start"):
    """A label that slides in."""
    shown = ease(start, start + 0.4, t)
    if shown > 0:
        width = len(text) * 9.3 + 22
        left = x if anchor == "start" else x - width
        f.open(opacity=shown, transform=f"translate({(1 - shown) * 18:.1f} 0)")
        f.rect(left, y - 19, width, 27, "#12100d", rx=5, opacity=0.9)
        f.rect(left, y - 19, 4, 27, colour)
        f.text(left + 13, y, text, 15, PAPER, SANS)
        f.close()


def square(phase, k):
    """A calibration square through a probe; `k` is the error: below 0 rounded, above 0 spiked."""
    half = (phase % 1) * 2
    level = 1 if half < 1 else -1
    return level * (1 + k * math.exp(-(half % 1) / 0.16))


def screen(f, x, y, w, h, t, k, label):
    """The scope's glass: a graticule, a trace that is never quite still, the read-outs."""
    f.rect(x - 10, y - 10, w + 20, h + 20, "#0a0c0b", rx=10)
    f.rect(x, y, w, h, f.glow([(0, "#10251f"), (1, "#07110e")]))
    for i in range(1, 10):
        f.line(x + w * i / 10, y, x + w * i / 10, y + h, "#2f5a4c", 0.8 if i != 5 else 1.4)
    for i in range(1, 8):
        f.line(x, y + h * i / 8, x + w, y + h * i / 8, "#2f5a4c", 0.8 if i != 4 else 1.4)
    for i in range(51):
        f.line(x + w * i / 50, y + h / 2 - 3, x + w * i / 50, y + h / 2 + 3, "#2f5a4c", 0.8)
    rnd = noise(int(t * 25))
    points = []
    shift = 0.004 * wobble(t * 4)
    for i in range(401):
        phase = i / 400 * 2.5 + shift
        value = square(phase + 0.001, k) + rnd.uniform(-0.018, 0.018)
        points.append((x + w * i / 400, y + h / 2 - value * h * 0.25))
    f.poly(points, close=False, stroke=AMBER, stroke_width=9, opacity=0.13, stroke_linejoin="round")
    f.poly(points, close=False, stroke=AMBER, stroke_width=4.5, opacity=0.3, stroke_linejoin="round")
    f.poly(points, close=False, stroke="#ffd9a0", stroke_width=1.8, stroke_linejoin="round")
    small = h / 24
    f.text(x + 8, y + small + 6, "CH1  1.00 V  10x", small, AMBER, MONO)
    f.text(x + w - 8, y + small + 6, "200 us/div", small, "#9ad7c0", MONO, "end")
    f.text(x + 8, y + h - 8, f"Vpp {2 * (1 + max(0, k)) + rnd.uniform(-0.004, 0.004):.2f} V", small, "#9ad7c0", MONO)
    f.text(x + w - 8, y + h - 8, label, small, PAPER, MONO, "end")


def knob(f, x, y, r, a):
    f.circle(x, y + 2, r + 2, "#000", opacity=0.35)
    f.circle(x, y, r, f.gradient([(0, "#8d9390"), (1, "#4c514f")]), stroke="#2b2e2d", stroke_width=1.5)
    for ridge in range(16):
        b = ridge * math.tau / 16 + a
        f.line(x + math.cos(b) * r * 0.82, y + math.sin(b) * r * 0.82, x + math.cos(b) * r * 0.98, y + math.sin(b) * r * 0.98, "#2b2e2d", 1.5)
    f.line(x, y, x + math.cos(a) * r * 0.7, y + math.sin(a) * r * 0.7, PAPER, 2.6)


def scope(f, t, k):
    f.rect(96, 106, 640, 372, "#000", rx=22, opacity=0.35)
    f.rect(90, 96, 640, 372, f.gradient([(0, "#e9e4d8"), (1, "#bdb7a9")]), rx=20)
    f.rect(90, 96, 640, 372, "none", rx=20, stroke="#8f8a7d", stroke_width=2)
    screen(f, 126, 132, 372, 262, t, k, "AUTO")
    f.text(126, 444, "COPPERLEAF", 17, "#3a3833", SANS, font_weight="bold", letter_spacing=3)
    f.text(290, 444, "CL-2102  100 MHz", 13, "#6f6b62", SANS)
    for row in range(2):
        for column in range(3):
            knob(f, 560 + column * 62, 168 + row * 84, 21, -2.2 + row + column * 0.8 + (0.5 * wobble(t * 0.5) if (row, column) == (0, 1) else 0))
            f.text(560 + column * 62, 206 + row * 84, ["VOLTS", "TIME", "LEVEL", "POS", "DELAY", "MENU"][row * 3 + column], 9, "#3a3833", SANS, "middle")
    for button in range(5):
        f.rect(536 + button * 37, 312, 29, 16, AMBER if button == int(t * 0.7) % 5 else "#8f8a7d", rx=4)
    for channel in range(2):
        x = 556 + channel * 68
        f.circle(x, 402, 23, "#8d8a80")
        f.circle(x, 402, 17, "#d8d2c2", stroke="#55524a", stroke_width=2)
        f.circle(x, 402, 5, "#2b2925")
        f.text(x, 444, f"CH{channel + 1}", 11, "#3a3833", SANS, "middle", font_weight="bold")
    f.rect(676, 380, 12, 26, COPPER, rx=2)
    f.rect(700, 380, 12, 26, "#55524a", rx=2)
    f.text(682, 422, "1 kHz", 9, "#3a3833", SANS, "middle")
    f.text(706, 434, "GND", 9, "#3a3833", SANS, "middle")


def probe_body(f, x, y, a):
    """The probe, tip to the left at (x, y)."""
    f.open(transform=f"translate({x:.1f} {y:.1f}) rotate({a:.1f})")
    f.path("M0,0 q-10,-2 -10,-9 q0,-8 9,-8 M0,0 L26,-3 L26,3 Z", "#c9ced2", stroke="#c9ced2", stroke_width=3)
    f.path("M24,-6 L60,-13 L190,-15 L190,15 L60,13 L24,6 Z", f.gradient([(0, "#4b4f55"), (1, "#1d1f22")]))
    f.rect(74, -17, 14, 34, "#2b2d31", rx=3)
    for groove in range(5):
        f.rect(100 + groove * 9, -15.5, 4, 31, "#16171a")
    f.rect(154, -8, 24, 16, AMBER, rx=3)
    f.text(166, 4, "10x", 10, "#12100d", SANS, "middle", font_weight="bold")
    f.rect(190, -6, 26, 12, "#2b2d31", rx=4)
    f.close()


def clip_on(f, t, length):
    mat(f, t)
    k = 0.45
    go = ease(3.6, 6.4, t)
    scope(f, t, k if go >= 1 else -1.0)
    if go < 1:
        f.rect(126, 132, 372, 262, "#07110e")
        f.line(126, 263 + 1.5 * wobble(t * 9), 498, 263 + 1.5 * wobble(t * 8), AMBER, 2)
        f.text(312, 240, "no signal", 17, "#9ad7c0", MONO, "middle", opacity=0.5 + 0.5 * math.sin(t * 5))
    x, y = lerp(860, 684, go), lerp(520, 398, go)
    cable = f"M556,402 C540,560 760,620 {x + 190:.0f},{y + 60:.0f}"
    f.path(cable, stroke="#0d0e10", stroke_width=11)
    f.path(cable, stroke="#3a3d42", stroke_width=7)
    probe_body(f, x, y, 18)
    lead = ease(6.6, 8.2, t)
    ex, ey = lerp(x + 60, 706, lead), lerp(y + 110, 400, lead)
    f.path(f"M{x + 78:.0f},{y + 40:.0f} C{x + 60:.0f},{y + 120:.0f} {ex + 50:.0f},{ey + 90:.0f} {ex:.0f},{ey + 6:.0f}", stroke="#17181b", stroke_width=5)
    f.poly([(ex - 7, ey - 14), (ex + 7, ey - 14), (ex + 10, ey + 16), (ex - 10, ey + 16)], "#17181b")
    f.poly([(ex - 4, ey - 20), (ex + 4, ey - 20), (ex + 6, ey - 12), (ex - 6, ey - 12)], "#c9ced2")
    note(f, 770, 330, "Tip on 1 kHz", t, 6.2)
    note(f, 770, 366, "Lead on GND", t, 8.2)


def read_square(f, t, length):
    f.rect(0, 0, W, H, f.gradient([(0, "#2a2a27"), (1, "#151513")]))
    under = t < length * 0.58
    k = -0.62 * ease(0.5, 2.2, t) + 0.03 if under else lerp(-0.6, 0.62, ease(length * 0.58, length * 0.72, t))
    screen(f, 60, 110, 560, 390, t, k, "STOP" if int(t * 2) % 9 == 0 else "RUN")
    for panel, (title, value, on) in enumerate([("Too little", -0.62, under), ("Too much", 0.62, not under), ("Right", 0.0, False)]):
        y = 112 + panel * 134
        f.rect(660, y, 250, 118, "#10110f", rx=10, stroke=AMBER if on else "#4a4a44", stroke_width=3 if on else 1)
        points = [(678 + i, y + 62 - square(i / 88 + 0.001, value) * 20) for i in range(0, 214, 2)]
        f.poly(points, close=False, stroke=AMBER if on else "#8b887c", stroke_width=2.4)
        f.text(678, y + 24, title, 14, PAPER, SANS, font_weight="bold")
    if abs(k) > 0.3:
        for corner in range(3):
            x = 60 + 560 * (corner * 0.4) + 12
            if 70 < x < 600:
                f.circle(x, 110 + 195 - (1 + k) * 97, 22 + 3 * math.sin(t * 6), stroke="#ff6a4d", stroke_width=3)


def turning(t, length):
    """The trimmer's error over this chapter: spikes, too far back, and home."""
    a, b, c = length * 0.62, length * 0.78, length * 0.95
    if t < a:
        steps = math.floor(clamp(t / a) * 8) + ease(0.55, 1.0, clamp(t / a) * 8 % 1)
        return lerp(0.62, 0.06, steps / 8)
    return lerp(0.06, -0.4, ease(a, b - 0.5, t)) if t < b else lerp(-0.4, 0.0, ease(b, c, t))


def trimmer(f, t, length):
    mat(f, t)
    k = turning(t, length)
    f.circle(262, 316, 196, "#000", opacity=0.3)
    f.circle(256, 308, 190, f.gradient([(0, "#54585e"), (1, "#232529")]), stroke="#15161a", stroke_width=6)
    for groove in range(-7, 8):
        x = 256 + groove * 25
        half = math.sqrt(max(0, 186 ** 2 - (groove * 25) ** 2))
        f.line(x, 308 - half, x, 308 + half, "#1a1c1f", 6, opacity=0.55)
    f.circle(256, 308, 112, "#15161a")
    f.circle(256, 308, 104, f.gradient([(0, "#d8b26f"), (0.5, "#f1d9a0"), (1, "#a67c3c")]), stroke="#7b5a28", stroke_width=3)
    for tick in range(33):
        a = math.radians(-135 + tick * 270 / 32)
        f.line(256 + math.sin(a) * 122, 308 - math.cos(a) * 122, 256 + math.sin(a) * (138 if tick % 4 == 0 else 130), 308 - math.cos(a) * (138 if tick % 4 == 0 else 130), AMBER if tick % 4 == 0 else "#9a968a", 2)
    angle = -k * 150
    f.open(transform=f"translate(256 308) rotate({angle:.2f})")
    f.rect(-74, -11, 148, 22, "#5d421c", rx=3)
    f.rect(-74, -11, 148, 6, "#35250e", rx=3)
    f.close()
    f.text(256, 478, "TRIM", 14, PAPER, SANS, "middle", letter_spacing=4)
    # The plastic screwdriver, its blade in the slot.
    f.open(transform=f"translate({256 + 1.5 * wobble(t * 6):.1f} 308) rotate(-38)")
    f.path(f"M-13,{6 * math.sin(math.radians(angle)):.1f} L13,{-6 * math.sin(math.radians(angle)):.1f} L9,-150 L-9,-150 Z", "#e9e3d3", opacity=0.93)
    f.path("M-28,-150 L28,-150 L32,-420 L-32,-420 Z", f.gradient([(0, "#c05a25"), (0.45, "#f08a45"), (1, "#8d3f17")], 0, 0, 1, 0))
    for ridge in range(5):
        x = -24 + (ridge * 12 + angle * 0.35) % 50
        f.rect(x, -415, 3, 262, "#7a3512", opacity=0.6)
    f.close()
    word = "over" if k > 0.08 else "under" if k < -0.08 else "flat"
    screen(f, 520, 130, 390, 300, t, k, word)
    f.rect(520, 456, 390, 40, "#12100d", rx=8, opacity=0.9)
    f.rect(714, 460, 3, 32, "#57c98a")
    f.rect(680, 474, 72, 5, "#2f6b4c")
    f.rect(536, 474, 358, 4, "#4a4a44", rx=2)
    f.circle(715 + k * 270, 476, 9, AMBER if word != "flat" else "#57c98a")
    f.text(536, 470, "rounded", 10, "#9a968a", SANS)
    f.text(894, 470, "spiked", 10, "#9a968a", SANS, "end")


def write_down(f, t, length):
    mat(f, t)
    scope(f, t, 0.0)
    cable = "M556,402 C540,560 760,620 874,458"
    f.path(cable, stroke="#0d0e10", stroke_width=11)
    f.path(cable, stroke="#3a3d42", stroke_width=7)
    probe_body(f, 684, 398, 18)
    f.open(transform="translate(722 92) rotate(4)")
    f.rect(6, 8, 216, 300, "#000", opacity=0.3)
    f.rect(0, 0, 216, 300, "#fbf6e4")
    f.rect(0, 0, 216, 40, AMBER)
    f.text(14, 27, "Bench log", 18, "#2a2118", SANS, font_weight="bold")
    lines = ["Probe  P-04", "Scope  CL-2102", "Channel  1", "Date  18 Feb", "Corners  square"]
    for row, line in enumerate(lines):
        y = 76 + row * 42
        f.line(14, y + 8, 202, y + 8, "#d8ccae", 1)
        shown = clamp((t - 0.6 - row * 0.9) / 0.7)
        f.text(14, y, line[: round(len(line) * shown)], 16, "#33405c", MONO)
    if t > 5.4:
        f.path("M150,240 l14,16 l34,-44", stroke="#2f9e5f", stroke_width=7, stroke_linecap="round", stroke_dasharray="90", stroke_dashoffset=90 * (1 - ease(5.4, 6.0, t)))
    f.close()


# The board: a row of eight pads, 84 apart.
PADS = [(186 + i * 84, 300) for i in range(8)]


def board(f, t, done, hot):
    """A green board with traces, parts and the header's pads; `done` joints have their cone."""
    f.rect(0, 0, W, H, f.gradient([(0, "#146b4a"), (1, "#0b4a34")]))
    rnd = noise(21)
    for trace in range(26):
        x, y = rnd.uniform(-20, W), rnd.choice([rnd.uniform(20, 230), rnd.uniform(380, 530)])
        length, bend_ = rnd.uniform(60, 240), rnd.choice([-1, 1]) * rnd.uniform(18, 60)
        f.path(f"M{x:.0f},{y:.0f} h{length:.0f} l{abs(bend_):.0f},{bend_:.0f} h{length * 0.6:.0f}", stroke="#2a9268", stroke_width=4)
        f.circle(x, y, 7, "#c9a35c")
        f.circle(x, y, 3, "#0b2a1e")
    for i, (x, y) in enumerate(PADS):
        up = 96 + (i * 53) % 80
        f.path(f"M{x},{y} v-70 l{(-1) ** i * 24},-24 v-{up}", stroke="#2a9268", stroke_width=9)
        f.path(f"M{x},{y} v80 l{(-1) ** i * -20},20 v{up}", stroke="#2a9268", stroke_width=9)
    for part, (x, y) in enumerate([(70, 90), (300, 120), (560, 70), (800, 130), (90, 450), (420, 470), (700, 440), (880, 480)]):
        if part % 3 == 0:
            f.rect(x - 48, y - 30, 96, 60, "#17191b", rx=3)
            for leg in range(6):
                f.rect(x - 42 + leg * 15, y - 40, 7, 10, "#c9ced2")
                f.rect(x - 42 + leg * 15, y + 30, 7, 10, "#c9ced2")
            f.circle(x - 36, y + 18, 4, "#3b3f44")
            f.text(x, y + 5, ["CL7", "MCU", "LDO"][part % 9 // 3], 15, "#9ba1a6", MONO, "middle")
        else:
            f.rect(x - 26, y - 12, 52, 24, "#d8d3c4", rx=2)
            f.rect(x - 14, y - 12, 28, 24, "#23262a" if part % 2 else "#b98a58")
            f.text(x, y + 30, f"{'RC'[part % 2]}{part + 11}", 12, "#dff2e6", MONO, "middle")
    f.rect(132, 244, 700, 112, "none", rx=6, stroke="#dff2e6", stroke_width=2.5)
    f.text(120, 236, "J4", 20, "#dff2e6", MONO, font_weight="bold")
    for i, (x, y) in enumerate(PADS):
        glow = hot[i]
        f.circle(x, y, 27, mix("#d3ac62", "#ffcf7a", glow))
        if i == 0:
            f.rect(x - 27, y - 27, 54, 54, mix("#d3ac62", "#ffcf7a", glow))
        f.circle(x, y, 17, "#10241b")
        filled = done[i]
        if filled > 0:
            f.circle(x, y, 10 + 16 * filled, f.glow([(0, "#f4f6f7"), (0.35, "#c3c9cd"), (0.75, "#8b9297"), (1, "#6d747a")]))
            f.ellipse(x - 8, y - 10, 6 * filled, 3.4 * filled, "#fff", opacity=0.85, transform=f"rotate(-35 {x - 8} {y - 10})")
        f.rect(x - 8, y - 8, 16, 16, "#e0c26d", stroke="#8f7434", stroke_width=1.5)
        f.rect(x - 8, y - 8, 16, 5, "#f6e3a4")


def iron(f, x, y, t, smoke):
    """The iron, its tip at (x, y), coming from the lower right."""
    f.open(transform=f"translate({x:.1f} {y:.1f}) rotate(-38)")
    f.poly([(-7, 2), (7, 2), (15, 60), (15, 150), (-15, 150), (-15, 60)], f.gradient([(0, "#8b8f93"), (0.4, "#e9ecee"), (1, "#6e7276")], 0, 0, 1, 0))
    f.poly([(-7, 2), (7, 2), (10, 26), (-10, 26)], "#eef1f2")
    f.rect(-21, 150, 42, 26, "#3b3f44", rx=4)
    f.path("M-30,176 L30,176 L40,300 L30,620 L-30,620 L-40,300 Z", f.gradient([(0, "#123d4a"), (0.4, "#2b7e92"), (1, "#0d2c36")], 0, 0, 1, 0))
    for ring in range(4):
        f.rect(-37, 210 + ring * 20, 74, 7, "#0d2c36", rx=3)
    f.close()
    for wisp in range(4):
        if smoke > 0:
            points = [(x - 6 + wisp * 4 + (8 + h * 0.12) * math.sin(h * 0.05 + t * 3 + wisp * 1.7) * h / 90, y - 12 - h) for h in range(0, 190, 8)]
            f.poly(points, close=False, stroke="#fff", stroke_width=4 + wisp, opacity=0.13 * smoke, stroke_linecap="round", stroke_linejoin="round")


def wire(f, x, y):
    f.path(f"M{x:.1f},{y:.1f} C{x - 60:.1f},{y - 50:.1f} {x - 130:.1f},{y - 60:.1f} -40,{y - 150:.1f}", stroke="#6d747a", stroke_width=9)
    f.path(f"M{x:.1f},{y:.1f} C{x - 60:.1f},{y - 50:.1f} {x - 130:.1f},{y - 60:.1f} -40,{y - 150:.1f}", stroke="#d5dade", stroke_width=5)


def tack(f, t, length):
    fill = ease(7.0, 8.6, t)
    board(f, t, [fill] + [0] * 7, [window(6.2, 9.4, t)] + [0] * 7)
    near = ease(4.6, 6.2, t) * (1 - ease(9.0, 10.4, t))
    wire(f, lerp(40, 168, ease(6.2, 7.0, t) * (1 - ease(8.5, 9.2, t))), lerp(180, 286, ease(6.2, 7.0, t) * (1 - ease(8.5, 9.2, t))))
    iron(f, lerp(620 + 10 * wobble(t), 204, near), lerp(470, 312, near), t, max(0.25, window(6.4, 10.0, t)))
    if t > 10.8:
        a = ease(10.8, 11.8, t)
        f.open(opacity=a)
        for x in (PADS[0][0] - 54, PADS[7][0] + 54):
            f.line(x, 226, x, 226 + 148 * a, "#ff6a4d", 3, stroke_dasharray="9 6")
        f.line(150, 384, 150 + 664 * a, 384, "#ff6a4d", 3, stroke_dasharray="9 6")
        f.text(482, 412, "straight? 90°", 20, PAPER, SANS, "middle", font_weight="bold")
        f.close()


def rhythm(f, t, length):
    """Seven joints, each in the same beat."""
    beat = (length - 1.6) / 7
    at = clamp((t - 0.6) / beat, 0, 6.999)
    index, u = int(at) + 1, at % 1
    over = t > length - 1.0
    done, hot = [1] + [0] * 7, [0] * 8
    for i in range(1, 8):
        done[i] = 1 if i < index or over else (ease(0.34, 0.62, u) if i == index else 0)
        hot[i] = window(0.16, 0.85, u, 0.12) if i == index and not over else 0
    board(f, t, done, hot)
    x, y = PADS[index]
    last = PADS[index - 1]
    move = ease(0.0, 0.18, u)
    feed = window(0.26, 0.68, u, 0.1)
    ix, iy = lerp(last[0], x, move) + 18, y + 12 + 46 * math.sin(move * math.pi) + 60 * ease(length - 1.2, length - 0.4, t)
    wire(f, lerp(x - 74, x - 14, feed), lerp(y - 76, y - 14, feed))
    iron(f, ix, iy, t, 0.3 + hot[index])
    phase = 0 if u < 0.28 else 1 if u < 0.62 else 2
    for n, word in enumerate(["1  heat", "2  feed", "3  away"]):
        on = n == phase and not over
        f.rect(590 + n * 118, 462, 108, 42, AMBER if on else "#12100d", rx=8, opacity=1 if on else 0.8)
        f.text(644 + n * 118, 489, word, 17, "#12100d" if on else PAPER, SANS, "middle", font_weight="bold")


def cones(f, t, length):
    f.rect(0, 0, W, H, f.gradient([(0, "#203a35"), (1, "#10201d")]))
    for panel, (title, good) in enumerate([("Good: a cone", True), ("Cold: a ball", False)]):
        x = 250 + panel * 460
        appear = ease(0.2, 0.9, t) if good else ease(length * 0.46, length * 0.46 + 0.7, t)
        f.open(opacity=max(0.12, appear), transform=f"translate(0 {6 * wobble(t * 0.9, panel):.1f})")
        f.circle(x + 6, 290, 190, "#000", opacity=0.35)
        f.open(clip_path=f.clip(x - 180, 100, 360, 360, 180))
        f.rect(x - 190, 90, 380, 380, "#dfe7e2")
        for dot in range(60):
            f.circle(x - 180 + (dot * 67) % 360, 110 + (dot * 41) % 200, 1.6, "#b7c6be")
        f.rect(x - 190, 330, 380, 60, "#146b4a")
        for fibre in range(12):
            f.line(x - 190, 336 + fibre * 5, x + 190, 336 + fibre * 5, "#1d8a60", 1.2)
        f.rect(x - 92, 318, 184, 13, COPPER)
        f.rect(x - 16, 190, 32, 290, f.gradient([(0, "#a98b3f"), (0.4, "#f6e3a4"), (1, "#8f7434")], 0, 0, 1, 0))
        f.poly([(x - 16, 190), (x - 8, 172), (x + 8, 172), (x + 16, 190)], "#e0c26d")
        if good:
            f.path(f"M{x - 88},318 C{x - 50},306 {x - 26},270 {x - 17},228 L{x + 17},228 C{x + 26},270 {x + 50},306 {x + 88},318 Z", f.gradient([(0, "#7d858a"), (0.35, "#f3f6f7"), (0.6, "#b9c0c4"), (1, "#6d747a")], 0, 0, 1, 0))
            gleam = (t * 0.4) % 1
            f.path(f"M{x - 62 + gleam * 40:.0f},306 C{x - 40 + gleam * 30:.0f},292 {x - 28 + gleam * 24:.0f},266 {x - 22 + gleam * 20:.0f},240", stroke="#fff", stroke_width=4, opacity=0.8 * math.sin(gleam * math.pi))
        else:
            heal = ease(length - 3.6, length - 2.0, t)
            f.ellipse(x, 280 + 8 * heal, 66 + 16 * heal, 44 - 10 * heal, f.glow([(0, mix("#a9adaf", "#eef1f2", heal)), (0.6, "#888d90"), (1, "#595f63")]))
            rnd = noise(9)
            for grain in range(40):
                a, r = rnd.uniform(0, math.tau), rnd.uniform(0, 0.9)
                f.circle(x + 62 * r * math.cos(a), 280 + 38 * r * math.sin(a), rnd.uniform(1, 2.6), "#5f6569", opacity=0.6 * (1 - heal))
            f.path(f"M{x - 70},312 q26,-10 30,4 M{x + 70},312 q-26,-10 -30,4", stroke="#c0392b", stroke_width=3, opacity=1 - heal)
        f.close()
        f.circle(x, 280, 182, stroke="#2b2420", stroke_width=15)
        f.circle(x, 280, 175, stroke="#a9a295", stroke_width=2)
        f.path(f"M{x - 120},190 A150,150 0 0 1 {x - 20},134", stroke="#fff", stroke_width=9, opacity=0.35, stroke_linecap="round")
        if not good and t > length - 2.4:
            title, good = "Heated again", True
        f.rect(x - 98, 478, 196, 36, "#2f9e5f" if good else "#c0392b", rx=18)
        f.text(x, 502, title, 18, "#fff", SANS, "middle", font_weight="bold")
        f.close()


FILMS = {
    "compensate-a-probe": [(clip_on, "Clip on"), (read_square, "Read the square"), (trimmer, "Turn the trimmer"), (write_down, "Write it down")],
    "solder-a-pin-header": [(tack, "Tack one end"), (rhythm, "One, two, three, away"), (cones, "Look for cones")],
}


def main():
    timeline = json.load(open(sys.argv[1], encoding="utf-8"))
    film, chapters = FILMS[sys.argv[3]], timeline["chapters"]

    def draw(f, t):
        at = max(i for i, c in enumerate(chapters) if c["start"] <= t)
        start, end = chapters[at]["start"], chapters[at]["end"]
        scene, title = film[at]
        scene(f, t - start, end - start)
        step(f, at + 1, title, t - start, end - start)
        # The way through the film, along the lower edge.
        f.rect(0, H - 5, W, 5, "#12100d")
        f.rect(0, H - 5, W * t / timeline["seconds"], 5, AMBER)
        for chapter in chapters[1:]:
            f.rect(W * chapter["start"] / timeline["seconds"] - 1, H - 5, 2, 5, "#fff")
        dark = max(1 - ease(0, 0.4, t), ease(timeline["seconds"] - 0.5, timeline["seconds"], t))
        if dark > 0:
            f.rect(0, 0, W, H, "#000", opacity=dark)

    render(sys.argv[2], timeline["seconds"], draw)


main()
