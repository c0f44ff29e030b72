"""Pictures of the test drive: a tracking shot at dawn, the driver's view of a coast road, a map of hairpins
with telemetry, and a charging stop. `drive.py TIMELINE FRAMES` writes one SVG a frame."""

import json
import math
import sys

from svg import MONO, SANS, SERIF, W, H, clamp, ease, lerp, mix, noise, render, window, wobble

RED = "#c8102e"
CREAM = "#f4ede1"


# The car, seen from the side, driving to the right; its own space is 420 wide and 130 high.
BODY = ("M14,98 C8,80 10,62 22,54 C44,22 74,10 118,7 C178,3 222,6 248,17 L300,47 C346,52 388,60 402,74 "
        "C411,82 412,92 408,100 L372,104 A37,37 0 0 0 298,104 L132,106 A37,37 0 0 0 58,104 Z")
GLASS = "M52,52 C66,28 90,18 124,16 C176,12 214,14 240,24 L284,49 L150,54 Z"


def wheel(f, x, y, r, turn):
    f.circle(x, y, r, "#14161a")
    f.circle(x, y, r * 0.72, "#5b6068")
    f.circle(x, y, r * 0.66, "#23262b")
    for spoke in range(5):
        a = turn + spoke * math.tau / 5
        f.line(x, y, x + math.cos(a) * r * 0.66, y + math.sin(a) * r * 0.66, "#b9bec6", r * 0.13)
    f.circle(x, y, r * 0.17, RED)


def car(f, x, y, scale, turn, paint=RED, lights=1.0, lean=0.0):
    f.open(transform=f"translate({x:.2f} {y:.2f}) scale({scale}) rotate({lean:.3f} 210 104)")
    f.ellipse(210, 138, 215, 11, "#000", opacity=0.35)
    if lights:
        f.poly([(404, 78), (720, 40), (720, 150), (406, 90)], f.gradient([(0, "#fff3c8", 0.55 * lights), (1, "#fff3c8", 0)], 0, 0, 1, 0))
    f.path(BODY, f.gradient([(0, mix(paint, "#ffffff", 0.35)), (0.45, paint), (1, mix(paint, "#000000", 0.55))]))
    f.path("M30,70 C130,60 280,60 400,78", stroke=mix(paint, "#ffffff", 0.5), stroke_width=1.6, opacity=0.8)
    f.path("M60,106 L300,108 L300,114 L66,113 Z", "#1a1c20")
    f.path(GLASS, f.gradient([(0, "#9fc0d4"), (1, "#1d2c3a")]), stroke="#111", stroke_width=2.5)
    f.path("M106,17 L98,53", stroke="#14161a", stroke_width=6)
    f.path("M180,14 L184,53", stroke="#14161a", stroke_width=6)
    f.circle(214, 36, 8, "#2b2018")
    f.path("M204,54 C206,42 222,42 226,54 Z", "#2b2018")
    f.path("M184,56 L188,104 M98,56 L112,104", stroke="#000", stroke_width=1.2, opacity=0.5)
    f.rect(150, 66, 20, 4, "#15171a", rx=2, opacity=0.7)
    f.path("M384,70 L404,78 L400,86 L380,80 Z", "#fff8de")
    f.path("M14,62 L24,58 L24,78 L12,82 Z", "#ff5a44")
    f.path("M118,7 C178,3 222,6 248,17", stroke="#1a1c20", stroke_width=4)
    wheel(f, 95, 104, 33, turn)
    wheel(f, 335, 104, 33, turn)
    f.close()


def ridge(f, seed, base, height, shift, colour, step=24):
    """A mountain line that scrolls without end: the heights are a fixed function of the place."""
    points = [(0, H)]
    for i in range(W // step + 3):
        place = math.floor(shift / step) + i
        x = i * step - shift % step
        y = base - height * (0.5 + 0.3 * math.sin(place * 0.37 + seed) + 0.2 * math.sin(place * 1.13 + seed * 2))
        points.append((x, y))
    points.append((W + step, H))
    f.poly(points, colour)


def pine(f, x, y, h, colour):
    f.rect(x - h * 0.04, y - h * 0.15, h * 0.08, h * 0.15, "#2a1d17")
    for k in range(3):
        w, top = h * (0.30 - 0.07 * k), y - h * (0.42 + 0.29 * k)
        f.poly([(x - w, y - h * (0.12 + 0.26 * k)), (x, top), (x + w, y - h * (0.12 + 0.26 * k))], colour)


def headline(f, title, under, t, end):
    """Chapter title, lower left, with a red rule that draws itself."""
    shown = window(0.4, end, t, 0.7)
    if shown <= 0:
        return
    f.open(opacity=shown)
    f.rect(0, 30, 470, 84, f.gradient([(0, "#000", 0.7), (1, "#000", 0)], 0, 0, 1, 0))
    f.rect(36, 44, 4, 56 * ease(0.4, 1.2, t), RED)
    f.text(54, 72, title, 32, CREAM, SERIF)
    f.text(54, 98, under, 14.5, CREAM, SANS)
    f.close()


def dawn(f, t, length):
    light = clamp(t / length)
    f.rect(0, 0, W, H, f.gradient([(0, mix("#101a3a", "#31508f", light)), (0.45, mix("#4b3763", "#c98a86", light)), (0.72, mix("#d2694f", "#ffc98a", light))]))
    rnd = noise(3)
    for _ in range(70):
        f.circle(rnd.uniform(0, W), rnd.uniform(0, 230), rnd.uniform(0.5, 1.5), "#fff", opacity=(1 - light) * rnd.uniform(0.3, 0.9))
    sun = lerp(365, 270, light)
    f.circle(640, sun, 190, f.glow([(0, "#fff1c0", 0.9), (0.25, "#ffd28a", 0.6), (1, "#ff9a60", 0)]))
    f.circle(640, sun, 34, "#fff3d0")
    for cloud in range(6):
        x = (cloud * 211 - t * (6 + cloud)) % (W + 300) - 150
        y = 70 + cloud * 31
        for puff in range(4):
            f.ellipse(x + puff * 34, y + (puff % 2) * 5, 52 - puff * 4, 7 + (puff * 5) % 4, "#ffd9c0", opacity=0.10 + 0.14 * light)
    speed = 260
    ridge(f, 1.0, 330, 120, t * 9, mix("#3b335e", "#7d7099", light))
    ridge(f, 2.4, 352, 90, t * 22, mix("#2b2a4c", "#565a80", light))
    f.rect(0, 345, W, 70, f.gradient([(0, mix("#5a4a6a", "#e7b08e", light)), (1, mix("#1f2d4c", "#3d6285", light))]))
    for glint in range(60):
        y = 348 + (glint * 37) % 62
        x = (glint * 173 - t * (20 + y / 6)) % (W + 60) - 30
        f.rect(x, y, 14 + (glint * 7) % 26, 1.3, "#ffe3b8", opacity=0.25 + 0.3 * abs(math.sin(t * 2 + glint)))
    # The lighthouse they drive to, far out on its spit.
    x = 860 - t * 5
    f.path(f"M{x - 120:.1f},352 Q{x:.1f},332 {x + 130:.1f},352 Z", "#2a2740")
    f.poly([(x - 7, 338), (x - 4, 286), (x + 4, 286), (x + 7, 338)], CREAM)
    f.rect(x - 5.5, 304, 11, 8, RED)
    f.rect(x - 5, 277, 10, 9, "#27263a")
    beam = math.sin(t * 1.3)
    f.poly([(x, 281), (x + 300 * beam, 266), (x + 300 * beam, 296)],
           f.gradient([(0, "#fff6d0", 0.45 * (1 - light * 0.6)), (1, "#fff6d0", 0)], *((0, 0, 1, 0) if beam > 0 else (1, 0, 0, 0))))
    ridge(f, 4.1, 430, 26, t * 90, mix("#1d2b2c", "#40583f", light), 16)
    for tree in range(14):
        x = (tree * 131 - t * 140) % (W + 160) - 80
        pine(f, x, 428 + (tree * 7) % 9, 60 + (tree * 29) % 46, mix("#12201f", "#2b4334", light))
    f.rect(0, 424, W, 116, f.gradient([(0, mix("#2c2d35", "#57555a", light)), (1, "#1c1c21")]))
    f.rect(0, 424, W, 4, mix("#54505a", "#a79a90", light))
    for dash in range(9):
        f.poly([(x0 := (dash * 150 - t * speed * 1.7) % 1350 - 180, 500), (x0 + 80, 500), (x0 + 74, 508), (x0 - 8, 508)], "#e9e0cf")
    car(f, 255 + 22 * wobble(t * 0.8), 350 + 1.2 * math.sin(t * 9), 1.0, t * speed / 33, lights=1 - 0.6 * light, lean=0.25 * math.sin(t * 2.3))
    for post in range(8):
        x = (post * 180 - t * speed * 2.6) % 1440 - 240
        f.rect(x, 470, 15, 70, "#e8e2d6")
        f.rect(x, 482, 15, 13, RED)
    f.rect(0, 524, W, 16, mix("#16201c", "#2b3a2c", light))
    for blade in range(70):
        x = (blade * 41.3 - t * speed * 2.9) % (W + 80) - 40
        f.line(x, 542, x + 9, 520 - (blade * 11) % 14, mix("#1d2a22", "#3d5238", light), 2.2)
    shown = window(1.2, 8.2, t, 0.9)
    f.open(opacity=shown)
    f.text(480, 150, "NORRVIK TERN", 62 , CREAM, SERIF, "middle", letter_spacing=lerp(6, 12, clamp(t / 9)))
    f.rect(480 - 170 * ease(1.4, 2.8, t), 170, 340 * ease(1.4, 2.8, t), 2.5, RED)
    f.text(480, 200, "A test drive, unhurried", 20, CREAM, SANS, "middle")
    f.close()


def bend(s):
    return 1.5 * math.sin(s * 0.0105) + 0.9 * math.sin(s * 0.0231 + 1.2)


def rise(s):
    return 16 * math.sin(s * 0.012) + 9 * math.sin(s * 0.029 + 2)


def coast(f, t, length):
    """The driver's view: the road is drawn in strips, from far to near, each at its own depth."""
    place, horizon = t * 26.0, 205
    turn = bend(place + 20)
    f.rect(0, 0, W, 260, f.gradient([(0, "#4f86b8"), (0.75, "#f3cfa6"), (1, "#f8dfc0")]))
    f.circle(690 - turn * 60, 170, 130, f.glow([(0, "#fff6da", 0.95), (0.3, "#ffe2a8", 0.5), (1, "#ffd28a", 0)]))
    for cloud in range(7):
        x = (cloud * 190 - turn * 55 + t * 2) % (W + 320) - 160
        for puff in range(5):
            f.ellipse(x + puff * 26, 52 + cloud * 17 + (puff % 2) * 6, 44, 11 - abs(puff - 2) * 2, "#fff6ea", opacity=0.35)
    ridge(f, 5.2, horizon + 6, 62, 400 + turn * 60, "#8fa0b4")
    ridge(f, 1.7, horizon + 10, 34, 900 + turn * 90, "#64798a")
    f.rect(0, horizon - 4, W, H, f.gradient([(0, "#a9c6cf"), (0.25, "#4f8fa6"), (1, "#1f5670")]))
    for glint in range(70):
        depth = ((glint * 0.137 + t * 0.11) % 1) ** 2
        y = horizon + depth * 220
        f.rect((glint * 197 - turn * 60 * (1 + depth)) % W, y, 10 + 44 * depth, 1 + 2.2 * depth, "#fff", opacity=0.35)

    seg, near, count = 3.0, 2.2, 64
    first = math.floor(place / seg)
    strips = []
    x = heading = 0.0
    for k in range(count):
        index = first + k
        z = index * seg - place + near
        if z < near * 0.6:
            z = near * 0.6
        heading += bend(index * seg) * 0.19
        x += heading
        scale = 330 / z
        lift = (rise(index * seg) - rise(place)) * 0.045
        strips.append((index, z, 480 + (x + 0.55) * scale * 0.62 - turn * 4, horizon + (1.12 - lift) * scale, scale))
    for k in range(count - 1, 0, -1):
        index, z1, x1, y1, s1 = strips[k]
        _, z0, x0, y0, s0 = strips[k - 1]
        haze = clamp((z1 - 40) / 150) * 0.75

        def strip(a, b, colour):
            f.poly([(x1 + a * s1, y1), (x1 + b * s1, y1), (x0 + b * s0, y0 + 0.8), (x0 + a * s0, y0 + 0.8)], mix(colour, "#cfd6d4", haze))

        even = index // 2 % 2 == 0
        strip(-9.0, -1.6, "#5d7a45" if even else "#54703f")
        strip(-30, -9.0, "#46613a" if even else "#4b673d")
        strip(1.6, 2.6, "#8b8a66" if even else "#827f5e")
        strip(-1.75, 1.75, "#9b958a")
        strip(-1.6, 1.6, "#4a4b50" if even else "#47484d")
        strip(-1.48, -1.40, "#e9e4d8")
        strip(1.40, 1.48, "#e9e4d8")
        if index % 4 < 2:
            strip(-0.05, 0.05, "#f4efe2")
        y, s = y0, s0
        if index % 3 == 0:
            f.rect(x0 + 1.9 * s - s * 0.035, y - 0.62 * s, 0.07 * s, 0.62 * s, mix("#f4f0e6", "#cfd6d4", haze))
            f.rect(x0 + 1.9 * s - s * 0.035, y - 0.55 * s, 0.07 * s, 0.12 * s, mix(RED, "#cfd6d4", haze))
        f.poly([(x1 + 2.2 * s1, y1 - 0.40 * s1), (x0 + 2.2 * s0, y0 - 0.40 * s0), (x0 + 2.2 * s0, y0 - 0.28 * s0), (x1 + 2.2 * s1, y1 - 0.28 * s1)], mix("#c3c7c9", "#cfd6d4", haze))
        rnd = noise(index)
        if rnd.random() < 0.55 and s < 130:
            pine(f, x0 - (2.6 + rnd.random() * 5) * s, y, s * (1.2 + rnd.random() * 1.3), mix("#274a35", "#cfd6d4", haze))
        if rnd.random() < 0.3 and s < 150:
            f.ellipse(x0 - (1.9 + rnd.random()) * s, y - 0.05 * s, 0.3 * s, 0.16 * s, mix("#77776f", "#cfd6d4", haze))
        if index % 41 == 20:
            f.rect(x0 + 2.25 * s, y - 1.7 * s, 0.05 * s, 1.7 * s, "#6d6f72")
            f.rect(x0 + 1.95 * s, y - 1.9 * s, 0.66 * s, 0.5 * s, "#1f4f8f", rx=0.04 * s)
            f.text(x0 + 2.28 * s, y - 1.56 * s, "FYR 9", 0.19 * s, "#fff", SANS, "middle", font_weight="bold")
    for gull in range(3):
        gx, gy = (200 + gull * 260 + t * (18 + gull * 9)) % 1100 - 60, 90 + gull * 28 + 14 * math.sin(t + gull)
        flap = 7 * math.sin(t * 7 + gull * 2)
        f.path(f"M{gx - 15:.1f},{gy - flap:.1f} Q{gx - 6:.1f},{gy - 5:.1f} {gx:.1f},{gy:.1f} Q{gx + 6:.1f},{gy - 5:.1f} {gx + 15:.1f},{gy - flap:.1f}", stroke="#39434d", stroke_width=2.2)
    cockpit(f, t, length, place, turn)


def dial(f, x, y, r, value, top, unit, label, band=0.0):
    f.circle(x, y, r + 5, "#08090b")
    f.circle(x, y, r, f.glow([(0, "#23272e"), (0.8, "#15181c"), (1, "#0d0f12")]), stroke="#3b4048", stroke_width=1.5)
    for tick in range(31):
        a = math.radians(-125 + tick * 250 / 30)
        long = tick % 5 == 0
        f.line(x + math.sin(a) * r * (0.80 if long else 0.87), y - math.cos(a) * r * (0.80 if long else 0.87), x + math.sin(a) * r * 0.94, y - math.cos(a) * r * 0.94, CREAM if long else "#7b8088", 2 if long else 1)
        if long:
            f.text(x + math.sin(a) * r * 0.64, y - math.cos(a) * r * 0.64 + 4, str(round(top * tick / 30)), 11, CREAM, SANS, "middle")
    if band:
        f.arc(x, y, r * 0.94, -125, -125 + 250 * clamp(band), "#37c272", 5)
    a = -125 + 250 * clamp(value / top)
    f.poly([(x - 2.6, y + 9), (x - 0.7, y - r * 0.82), (x + 0.7, y - r * 0.82), (x + 2.6, y + 9)], RED, transform=f"rotate({a:.2f} {x} {y})")
    f.circle(x, y, 6.5, "#3a3f47")
    f.text(x, y + r * 0.46, str(round(value)), 19, CREAM, MONO, "middle", font_weight="bold")
    f.text(x, y + r * 0.68, unit, 10, "#a2a8b0", SANS, "middle")
    f.text(x, y + r + 19, label, 10, "#8b9198", SANS, "middle")


def cockpit(f, t, length, place, turn):
    speed = 80 + 4 * wobble(t * 1.3) - 9 * abs(turn) * ease(7.5, 10, t)
    regen = ease(8.2, 10.2, t) * (0.30 + 0.12 * wobble(t * 2, 4))
    power = max(1.0, 17 + 7 * wobble(t * 1.1, 2) - 40 * regen)
    shake = 0.8 * math.sin(t * 11) * wobble(t)
    f.path(f"M0,{398 + shake:.1f} C180,{370 + shake:.1f} 780,{370 + shake:.1f} 960,{398 + shake:.1f} L960,540 L0,540 Z", f.gradient([(0, "#32343a"), (0.12, "#1d1f24"), (1, "#0b0c0e")]))
    f.path(f"M0,{399 + shake:.1f} C180,{371 + shake:.1f} 780,{371 + shake:.1f} 960,{399 + shake:.1f}", stroke="#6a6d74", stroke_width=1.4)
    f.path("M150,540 C160,420 230,398 330,398 C440,398 500,420 516,540 Z", "#0c0d10")
    dial(f, 250, 466, 58, speed, 150, "km/h", "")
    dial(f, 412, 466, 58, power, 60, "kW", "", regen * 1.4)
    # The middle screen: a map that scrolls with the road.
    f.rect(590, 410, 320, 130, "#050608", rx=10)
    f.open(clip_path=f.clip(598, 418, 304, 122, 6))
    f.rect(598, 418, 304, 122, "#142029")
    f.path("M902,540 " + " ".join(f"L{598 + 150 + 60 * math.sin((place + y * 1.3) * 0.021) + 22:.1f},{540 - y:.1f}" for y in range(0, 126, 6)) + " L902,418 Z", "#1d4a63")
    for contour in range(6):
        f.poly([(640 - contour * 16 + 60 * math.sin((place + y * 1.3) * 0.021 + contour * 0.2), 540 - y) for y in range(0, 126, 8)], close=False, stroke="#2f4a3c", stroke_width=1)
    f.poly([(598 + 130 + 60 * math.sin((place + y * 1.3) * 0.021), 540 - y) for y in range(0, 126, 6)], close=False, stroke="#e8d9a8", stroke_width=4)
    f.circle(728 + 60 * math.sin((place + 52) * 0.021), 500, 7, RED, stroke="#fff", stroke_width=2)
    f.close()
    f.text(612, 440, "FYR POINT", 12, CREAM, SANS, font_weight="bold")
    f.text(612, 457, f"{18.4 - t * 0.12:.1f} km", 12, "#a8b4bc", SANS)
    f.text(888, 440, f"05:{52 + int(t / 8)}", 14, CREAM, MONO, "end")
    f.text(888, 457, "4 °C", 12, "#a8b4bc", SANS, "end")
    # The steering wheel: the dials are seen through it.
    f.open(transform=f"rotate({turn * 9:.2f} 331 610)")
    f.circle(331, 610, 224, stroke="#050506", stroke_width=24)
    f.circle(331, 610, 228, stroke="#3d4047", stroke_width=4, opacity=0.9)
    f.rect(323, 375, 16, 22, RED, rx=3)
    f.close()


# The mountain road on the map: legs between bends, in map pixels.
HAIRPINS = [(388, 506)] + [(470 + 30 * (i % 3) if i % 2 else 820 - 26 * (i % 4), 478 - i * 34) for i in range(12)] + [(700, 60)]


def road_points():
    """The legs rounded into a smooth line of evenly spaced points."""
    points = []
    for i in range(1, len(HAIRPINS) - 1):
        a, b, c = HAIRPINS[i - 1], HAIRPINS[i], HAIRPINS[i + 1]
        # Each bend: from the middle of the leg before to the middle of the leg after.
        m0 = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        m1 = ((b[0] + c[0]) / 2, (b[1] + c[1]) / 2)
        for k in range(40):
            u = k / 40
            w = (1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u * u * (1 - u), u ** 3
            points.append(tuple(w[0] * m0[d] + (w[1] + w[2]) * b[d] + w[3] * m1[d] for d in (0, 1)))
    even, last = [points[0]], points[0]
    for p in points:
        while (gap := math.dist(last, p)) >= 3:
            last = tuple(last[d] + (p[d] - last[d]) * 3 / gap for d in (0, 1))
            even.append(last)
    return even


ROAD = road_points()


def hairpins(f, t, length):
    f.rect(0, 0, W, H, "#1c2420")
    f.rect(330, 0, 630, H, f.gradient([(0, "#4d5a49"), (0.5, "#39463a"), (1, "#26332d")]))
    for level in range(22):
        points = []
        for step in range(0, 49):
            x = 330 + step * 13.2
            y = 30 + level * 27 + 26 * math.sin(step * 0.13 + level * 0.55) + 11 * math.sin(step * 0.41 + level * 1.3)
            points.append((x, y))
        f.poly(points, close=False, stroke="#74846c", stroke_width=1.8 if level % 5 == 0 else 0.8, opacity=0.55)
    rnd = noise(11)
    for _ in range(120):
        x, y = rnd.uniform(340, 950), rnd.uniform(10, 530)
        f.circle(x, y, rnd.uniform(2, 5), "#2a4433", opacity=0.7)
    f.poly(ROAD, close=False, stroke="#0f1412", stroke_width=15, stroke_linejoin="round")
    f.poly(ROAD, close=False, stroke="#d8cfba", stroke_width=12, stroke_linejoin="round")
    f.poly(ROAD, close=False, stroke="#6c6a64", stroke_width=9, stroke_linejoin="round")
    f.poly(ROAD, close=False, stroke="#efe8d8", stroke_width=1, stroke_dasharray="7 7")

    way = clamp((t - 0.3) / (length - 0.3))
    done = way + 0.012 * math.sin(way * 70)
    at = int(clamp(done * 0.93) * (len(ROAD) - 12)) + 5

    def curve(i):
        i = min(max(i, 5), len(ROAD) - 6)
        (x0, y0), (x1, y1), (x2, y2) = ROAD[i - 5], ROAD[i], ROAD[i + 5]
        turn = math.atan2(y2 - y1, x2 - x1) - math.atan2(y1 - y0, x1 - x0)
        return (turn + math.pi) % math.tau - math.pi

    f.poly(ROAD[max(0, at - 160) : at + 1], close=False, stroke=RED, stroke_width=4.5, stroke_linejoin="round")
    for number in range(1, 12):
        x, y = HAIRPINS[number + 1] if number + 1 < len(HAIRPINS) else HAIRPINS[-1]
        side = 26 if x > 640 else -26
        f.circle(x + side, y, 10, "#f4ede1")
        f.text(x + side, y + 4, str(number), 11, "#1b1b1b", SANS, "middle", font_weight="bold")
    x, y = ROAD[at]
    a = math.degrees(math.atan2(ROAD[at + 3][1] - ROAD[at - 3][1], ROAD[at + 3][0] - ROAD[at - 3][0]))
    f.circle(x, y, 24 + 3 * math.sin(t * 5), RED, opacity=0.22)
    f.open(transform=f"translate({x:.2f} {y:.2f}) rotate({a:.2f})")
    f.rect(-13, -7, 26, 14, RED, rx=5, stroke="#fff", stroke_width=1.5)
    f.rect(-3, -5.5, 9, 11, "#1d2c3a", rx=2)
    f.close()

    # Telemetry on the left.
    f.rect(0, 0, 330, H, f.gradient([(0, "#15171b"), (1, "#0b0c0e")]))
    f.rect(328, 0, 2, H, RED)
    smooth = sum(curve(at + k) for k in range(-6, 7)) / 13
    lateral = clamp(smooth * 3.2, -0.82, 0.82)
    braking = 0.5 * wobble(t * 2.1, 1) - 0.3 * abs(lateral)
    f.text(36, 150, "SIDEWAYS AND LENGTHWAYS, g", 11, "#8b9198", SANS, letter_spacing=1)
    cx, cy = 165, 250
    for ring in (28, 56, 84):
        f.circle(cx, cy, ring, stroke="#3a3f47", stroke_width=1)
    f.line(cx - 92, cy, cx + 92, cy, "#3a3f47")
    f.line(cx, cy - 92, cx, cy + 92, "#3a3f47")
    f.text(cx + 90, cy - 5, "0.8", 9, "#7b8088", SANS, "middle")
    for ago in range(26, -1, -1):
        i = at - ago * 3
        l = clamp(sum(curve(i + k) for k in range(-6, 7)) / 13 * 3.2, -0.82, 0.82)
        tt = t - ago * 0.05
        b = 0.5 * wobble(tt * 2.1, 1) - 0.3 * abs(l)
        f.circle(cx + l * 100, cy - b * 100, 7 if ago == 0 else 3.2, RED if ago == 0 else "#e2697b", opacity=1 - ago / 29)
    speed = 54 - 30 * abs(lateral) + 3 * wobble(t * 2)
    f.text(36, 375, "SPEED", 11, "#8b9198", SANS, letter_spacing=1)
    f.text(36, 408, f"{speed:.0f}", 34, CREAM, MONO, font_weight="bold")
    f.text(86, 408, "km/h", 13, "#a2a8b0")
    f.text(180, 375, "HEIGHT", 11, "#8b9198", SANS, letter_spacing=1)
    f.text(180, 408, f"{112 + 420 * way:.0f}", 34, CREAM, MONO, font_weight="bold")
    f.text(250, 408, "m", 13, "#a2a8b0")
    points = []
    for k in range(130):
        i = max(5, at - (129 - k) * 4)
        l = clamp(sum(curve(i + j) for j in range(-6, 7)) / 13 * 3.2, -0.82, 0.82)
        points.append((36 + k * 2, 500 - (54 - 30 * abs(l)) * 1.1))
    f.poly([(36, 510)] + points + [(294, 510)], f.gradient([(0, RED, 0.55), (1, RED, 0.03)]))
    f.poly(points, close=False, stroke="#ff6a7d", stroke_width=2)
    f.line(36, 510, 294, 510, "#3a3f47")


def plug(f, t, length):
    f.rect(0, 0, W, H, f.gradient([(0, "#6ea5cf"), (0.55, "#cfe2ea"), (0.75, "#efe3cf")]))
    for cloud in range(5):
        x = (cloud * 260 + t * 9) % (W + 360) - 180
        for puff in range(5):
            f.ellipse(x + puff * 32, 60 + cloud * 30 + (puff % 2) * 9, 48, 17 - abs(puff - 2) * 3, "#fff", opacity=0.55)
    ridge(f, 3.3, 352, 70, 120, "#9fb4b8")
    f.rect(0, 330, W, 60, f.gradient([(0, "#7fb0c2"), (1, "#3f7f99")]))
    for glint in range(50):
        y = 334 + (glint * 29) % 50
        f.rect((glint * 151 + t * 11) % W, y, 18, 1.3, "#fff", opacity=0.25 + 0.35 * abs(math.sin(t * 1.7 + glint)))
    # The lighthouse, now close.
    f.path("M520,390 C580,330 760,318 960,350 L960,400 L520,400 Z", "#6a7a58")
    f.poly([(748, 350), (762, 120), (806, 120), (820, 350)], f.gradient([(0, "#d9d2c6"), (0.4, "#fffaf0"), (1, "#c9c0b2")], 0, 0, 1, 0))
    for band in range(2):
        y0 = 180 + band * 85
        inset = (350 - y0) / 230 * 14
        f.poly([(748 + inset, y0), (820 - inset, y0), (822 - inset, y0 + 40), (746 + inset, y0 + 40)], RED)
    f.rect(752, 110, 64, 10, "#33363c")
    f.rect(764, 76, 40, 36, "#3d5565", stroke="#33363c", stroke_width=3)
    f.circle(784, 94, 9 + 4 * abs(math.sin(t * 1.4)), "#fff3b8")
    f.path("M758,78 Q784,48 810,78 Z", "#33363c")
    f.rect(776, 310, 18, 40, "#4b3a2c")
    for gull in range(4):
        gx, gy = 560 + gull * 90 + 46 * math.cos(t * 0.6 + gull), 110 + gull * 22 + 22 * math.sin(t * 0.8 + gull * 2)
        flap = 6 * math.sin(t * 8 + gull * 2)
        f.path(f"M{gx - 13:.1f},{gy - flap:.1f} Q{gx - 5:.1f},{gy - 4:.1f} {gx:.1f},{gy:.1f} Q{gx + 5:.1f},{gy - 4:.1f} {gx + 13:.1f},{gy - flap:.1f}", stroke="#39434d", stroke_width=2)
    f.rect(0, 390, W, 150, f.gradient([(0, "#77767a"), (1, "#4d4c50")]))
    for slot in range(5):
        f.poly([(60 + slot * 230, 392), (66 + slot * 230, 392), (30 + slot * 250, 540), (16 + slot * 250, 540)], "#e9e4d8", opacity=0.7)
    car(f, 120, 352, 1.1, 0.5, lights=0)
    # Charging post, cable with a running pulse.
    f.rect(620, 286, 58, 170, f.gradient([(0, "#f7f4ee"), (1, "#bdb8ae")], 0, 0, 1, 0), rx=8)
    f.rect(630, 300, 38, 50, "#10151a", rx=4)
    f.rect(620, 366, 58, 8, "#2aa35f")
    cable = "M622,400 C560,520 640,500 480,470 C380,452 190,520 146,424"
    f.path(cable, stroke="#17181b", stroke_width=7)
    f.path(cable, stroke="#49e08a", stroke_width=3, stroke_dasharray="10 26", stroke_dashoffset=-t * 60)
    charge = lerp(38, 80, ease(0.2, length * 0.62, t))
    bars = int(t * 3) % 4
    for bar in range(4):
        f.rect(636 + bar * 7, 336 - bar * 7, 5, 7 + bar * 7, "#49e08a" if bar <= bars else "#24402f")
    # The card with figures.
    f.rect(36, 128, 330, 150, "#101216", rx=12, opacity=0.9)
    f.circle(112, 203, 50, stroke="#2a2e35", stroke_width=11)
    f.arc(112, 203, 50, 0, max(0.1, 359.9 * charge / 100), "#37c272", 11, stroke_linecap="round")
    f.text(112, 211, f"{charge:.0f}%", 25, CREAM, MONO, "middle", font_weight="bold")
    f.text(190, 158, "CHARGING POWER", 10, "#8b9198", letter_spacing=1)
    power = [lerp(20, 128, ease(0, 6, k)) - 1.15 * max(0, k - 20) for k in range(60)]
    shown = max(2, int(60 * ease(0.2, length * 0.62, t)))
    f.poly([(190 + k * 2.7, 232 - power[k] * 0.45) for k in range(shown)], close=False, stroke="#37c272", stroke_width=2.5)
    f.line(190, 234, 350, 234, "#3a3f47")
    f.text(190, 256, f"{power[shown - 1]:.0f} kW", 14, CREAM, MONO, font_weight="bold")
    f.text(350, 256, f"{12 * shown / 60:.0f} min", 14, "#a2a8b0", MONO, "end")
    # Coffee on the wall, steaming.
    f.rect(860, 408, 44, 38, "#f6f1e7", rx=5)
    f.path("M902,416 q18,2 4,20", stroke="#f6f1e7", stroke_width=6)
    f.rect(866, 414, 12, 12, RED, rx=6)
    f.rect(840, 446, 100, 10, "#8a8378")
    for wisp in range(3):
        points = [(868 + wisp * 14 + 6 * math.sin(y * 0.13 + t * 2.4 + wisp), 404 - y) for y in range(0, 46, 3)]
        f.poly(points, close=False, stroke="#fff", stroke_width=3, opacity=0.35, stroke_linecap="round")
    closing = ease(length - 4.4, length - 3.4, t)
    if closing:
        f.open(opacity=closing)
        f.rect(0, 0, W, H, "#0b0c0e", opacity=0.93)
        f.text(480, 262, "NORRVIK", 60, CREAM, SERIF, "middle", letter_spacing=14)
        width = 190 * ease(length - 4.0, length - 2.8, t)
        f.rect(480 - width, 284, 2 * width, 2.5, RED)
        f.text(480, 318, "Come and drive it. Take your time.", 18, CREAM, SANS, "middle")
        f.close()


def main():
    timeline = json.load(open(sys.argv[1], encoding="utf-8"))
    chapters = timeline["chapters"]
    scenes = [dawn, coast, hairpins, plug]
    titles = [None, ("The coast road", "80 km/h, fourth bend, gulls"), ("Eleven hairpins", "From the harbour to 532 metres"), ("Twelve minutes on the plug", "Fyr Point, 128 kW")]

    def draw(f, t):
        at = max(i for i, c in enumerate(chapters) if c["start"] <= t)
        start, end = chapters[at]["start"], chapters[at]["end"]
        scenes[at](f, t - start, end - start)
        if titles[at]:
            headline(f, *titles[at], t - start, 6.0)
        # A dip to black between chapters and at both ends.
        dark = max(1 - ease(0, 0.35, t - start), ease(end - start - 0.3, end - start, t - start))
        if dark > 0:
            f.rect(0, 0, W, H, "#000", opacity=dark)

    render(sys.argv[2], timeline["seconds"], draw)


main()
