"""Still pictures: logos, the album cover, posters of the downloads. `covers.py SUBJECT TARGET.svg`."""

import math
import sys

from svg import MONO, SANS, SERIF, noise, still


def norrvik(f):
    """A tern over a line of sea, in a red disc."""
    f.circle(256, 256, 250, "#c8102e")
    f.path("M70,250 C150,170 210,190 256,262 C302,190 362,170 442,250 C372,222 316,238 268,318 L256,350 L244,318 C196,238 140,222 70,250 Z", "#f4ede1")
    f.path("M120,398 Q188,372 256,398 T392,398", stroke="#f4ede1", stroke_width=14, stroke_linecap="round")


def saltmarsh(f):
    """Reeds in a circle, bent by wind from the left."""
    f.circle(256, 256, 250, "#1f6f5c")
    for reed in range(9):
        x, top = 120 + reed * 32, 130 + (reed * 47) % 70
        f.path(f"M{x},400 C{x},{300} {x + 10},{top + 70} {x + 44},{top}", stroke="#f6f1e4", stroke_width=9, stroke_linecap="round")
        f.ellipse(x + 46, top, 8, 27, "#f6f1e4", transform=f"rotate(24 {x + 46} {top})")
    f.path("M96,410 q27,-16 54,0 t54,0 t54,0 t54,0 t54,0 t54,0", stroke="#f6f1e4", stroke_width=11, stroke_linecap="round")


def copperleaf(f):
    """A leaf whose veins are traces that end in pads."""
    f.rect(6, 6, 500, 500, "#16302f", rx=96)
    f.path("M256,60 C400,140 430,300 256,460 C82,300 112,140 256,60 Z", "#c77f32")
    f.path("M256,90 V452", stroke="#16302f", stroke_width=14)
    for vein in range(3):
        y = 190 + vein * 70
        reach = [70, 86, 58][vein]
        for side in (-1, 1):
            f.path(f"M256,{y + 40} L{256 + side * 40},{y} H{256 + side * reach}", stroke="#16302f", stroke_width=11)
            f.circle(256 + side * reach, y, 14, "#16302f")
            f.circle(256 + side * reach, y, 6, "#c77f32")


def alternator(f):
    """The band's mark: a rotor with a lightning bolt."""
    f.circle(256, 256, 250, "#171018")
    for tooth in range(12):
        f.rect(236, 22, 40, 70, "#ff3d7f", rx=8, transform=f"rotate({tooth * 30} 256 256)")
    f.circle(256, 256, 190, "#ff3d7f")
    f.circle(256, 256, 160, "#171018")
    f.path("M290,110 L180,280 H248 L218,402 L338,222 H266 Z", "#ffd23f")


def holt(f):
    """A ledger page whose lower corner is folded into a tick."""
    f.rect(6, 6, 500, 500, "#1d4ed8", rx=70)
    f.path("M120,80 H392 V330 L292,432 H120 Z", "#f7f9ff")
    f.path("M392,330 L292,432 V330 Z", "#b8c8f5")
    for row in range(4):
        f.rect(156, 136 + row * 48, 120 + (row * 37) % 60, 16, "#9db2ec", rx=5)
        f.rect(324, 136 + row * 48, 36, 16, "#1d4ed8", rx=5)
    f.path("M160,352 L204,394 L262,318", stroke="#1d4ed8", stroke_width=24, stroke_linecap="round", stroke_linejoin="round")


def cover(f):
    """Borrowed Amplifiers: a garage at night, its door half up, light and amplifiers inside."""
    f.rect(0, 0, 1000, 1000, f.gradient([(0, "#150f24"), (0.55, "#3a1c4a"), (1, "#0e0a14")]))
    rnd = noise(12)
    for _ in range(160):
        f.circle(rnd.uniform(0, 1000), rnd.uniform(0, 330), rnd.uniform(0.6, 2.2), "#fff", opacity=rnd.uniform(0.2, 0.9))
    f.circle(850, 262, 120, f.glow([(0, "#ffe9b0", 0.7), (1, "#ffe9b0", 0)]))
    f.circle(850, 262, 44, "#ffefc4")
    for wire in range(3):
        f.path(f"M0,{150 + wire * 26} Q500,{260 + wire * 30} 1000,{120 + wire * 26}", stroke="#0b0812", stroke_width=3)
    f.poly([(60, 420), (500, 250), (940, 420)], "#241630")
    f.poly([(60, 420), (500, 250), (940, 420), (940, 436), (500, 268), (60, 436)], "#4a2c58")
    f.rect(110, 420, 780, 480, "#33213f")
    for row in range(16):
        for brick in range(14):
            x = 110 + brick * 58 - (row % 2) * 29
            f.rect(max(110, x), 420 + row * 30, min(54, 890 - x, x + 54 - 110), 26, ["#3d2749", "#43294f", "#372242"][(brick * 7 + row * 3) % 3])
    f.rect(190, 470, 620, 430, f.glow([(0, "#ffe08a"), (0.6, "#ff9a4d"), (1, "#a83a4e")]))
    f.rect(190, 470, 620, 96, "#d9d3e0")
    for slat in range(6):
        f.rect(190, 470 + slat * 16, 620, 2.5, "#9b92a8")
    f.rect(190, 560, 620, 10, "#5e566b")
    # Amplifiers, a drum kit and two guitars, as dark shapes against the light.
    for x, y, w, h in [(225, 640, 150, 220), (385, 730, 110, 130), (655, 660, 130, 200)]:
        f.rect(x, y, w, h, "#1a1220", rx=8)
        f.rect(x + 8, y + 8, w - 16, 28, "#c9a227")
        for knob_ in range(5):
            f.circle(x + 24 + knob_ * (w - 48) / 4, y + 22, 6, "#1a1220")
        f.rect(x + 12, y + 46, w - 24, h - 58, "#3a2f3f")
        for cross in range(1, int((w - 24) / 10)):
            f.line(x + 12 + cross * 10, y + 46, x + 12 + cross * 10, y + h - 12, "#241a2b", 2)
        f.circle(x + w / 2, y + 46 + (h - 58) / 2, min(w, h) * 0.30, "#1a1220", opacity=0.75)
        f.circle(x + w / 2, y + 46 + (h - 58) / 2, min(w, h) * 0.10, "#3a2f3f")
    f.circle(570, 800, 62, "#ff3d7f")
    f.circle(570, 800, 50, "#f7efe0")
    f.text(570, 796, "SUNDAY", 17, "#1a1220", SANS, "middle", font_weight="bold")
    f.text(570, 817, "ALTERNATOR", 12, "#1a1220", SANS, "middle", font_weight="bold")
    for x, y, tilt in [(508, 738, -10), (632, 738, 10)]:
        f.line(x, y, x, 862, "#1a1220", 4)
        f.ellipse(x, y, 46, 9, "#e8b923", transform=f"rotate({tilt} {x} {y})")
    f.rect(536, 730, 68, 30, "#1a1220", rx=4)
    for x, tilt, paint in [(440, -14, "#c8102e"), (810, 15, "#2f7f8f")]:
        f.open(transform=f"rotate({tilt} {x} 850)")
        f.path(f"M{x},700 C{x - 34},716 {x - 20},760 {x - 40},790 C{x - 60},850 {x + 60},850 {x + 40},790 C{x + 20},760 {x + 34},716 {x},700 Z", paint, stroke="#1a1220", stroke_width=4)
        f.rect(x - 6, 560, 12, 190, "#1a1220")
        f.rect(x - 11, 540, 22, 34, "#1a1220", rx=4)
        f.circle(x, 790, 13, "#1a1220")
        f.close()
    f.poly([(190, 900), (810, 900), (1000, 1000), (0, 1000)], f.gradient([(0, "#ffb35c", 0.85), (1, "#ffb35c", 0.05)]))
    f.path("M300,862 C260,930 420,940 380,1000 M700,862 C760,920 600,950 690,1000", stroke="#100b16", stroke_width=7)
    f.rect(0, 898, 190, 102, "#0e0a14", opacity=0.6)
    f.rect(810, 898, 190, 102, "#0e0a14", opacity=0.6)
    f.text(60, 110, "SUNDAY ALTERNATOR", 58, "#ffd23f", SANS, font_weight="bold", letter_spacing=3)
    f.rect(62, 130, 520, 6, "#ff3d7f")
    f.text(60, 190, "Borrowed Amplifiers", 46, "#f7efe0", SERIF, font_style="italic")


def chart(f, x, y, w, h, seed, colour):
    rnd, points, value = noise(seed), [], 0.4
    for k in range(25):
        value = min(0.95, max(0.05, value + rnd.uniform(-0.12, 0.15)))
        points.append((x + w * k / 24, y + h - h * value))
    f.poly([(x, y + h)] + points + [(x + w, y + h)], f.gradient([(0, colour, 0.35), (1, colour, 0.02)]))
    f.poly(points, close=False, stroke=colour, stroke_width=3)


def ledgerline(f):
    """The program's window, with the service pack's name."""
    f.rect(0, 0, 1280, 720, f.gradient([(0, "#0f1f4d"), (1, "#1d4ed8")], 0, 0, 1, 1))
    for ring in range(7):
        f.circle(1150, 80, 90 + ring * 74, stroke="#fff", stroke_width=1.5, opacity=0.10)
    f.rect(504, 124, 740, 500, "#000", rx=14, opacity=0.3)
    f.rect(490, 108, 740, 500, "#f7f9ff", rx=12)
    f.path("M490,120 a12,12 0 0 1 12,-12 h716 a12,12 0 0 1 12,12 v30 h-740 Z", "#e3e9fb")
    for dot, colour in enumerate(["#ef6a5b", "#f3bf4f", "#5fc46b"]):
        f.circle(514 + dot * 22, 129, 7, colour)
    f.text(860, 135, "Ledgerline 4.2 SP1 · Harbour Street Bakery", 14, "#44517c", SANS, "middle")
    f.rect(490, 150, 150, 458, "#eef2fd")
    for row, word in enumerate(["Overview", "Invoices", "Bank", "VAT return", "Payroll", "Reports", "Archive"]):
        if row == 2:
            f.rect(498, 166 + row * 40, 134, 32, "#1d4ed8", rx=6)
        f.text(514, 187 + row * 40, word, 14, "#fff" if row == 2 else "#44517c", SANS)
    chart(f, 664, 176, 260, 120, 5, "#1d4ed8")
    f.text(664, 172, "Balance", 13, "#44517c", SANS)
    for bar in range(12):
        height = 30 + (bar * 53) % 84
        f.rect(956 + bar * 21, 296 - height, 13, height, "#5fc46b" if bar % 4 else "#f3bf4f", rx=2)
    f.text(956, 172, "VAT by month", 13, "#44517c", SANS)
    names = ["Millers' Union, flour", "Rent, Harbour Street", "Card takings", "Oven service", "Wages, week 9", "Card takings", "Butter and eggs", "Water board"]
    for row, name in enumerate(names):
        y = 330 + row * 32
        if row % 2 == 0:
            f.rect(656, y - 4, 558, 30, "#eef2fd")
        amount = [-412.80, -1150.00, 2318.45, -96.00, -1764.20, 1986.10, -287.35, -64.90][row]
        f.text(668, y + 16, f"{2 + row:02d} Mar", 13, "#7a86ab", MONO)
        f.text(750, y + 16, name, 14, "#27335c", SANS)
        f.text(1130, y + 16, f"{amount:,.2f}", 14, "#1f8a4c" if amount > 0 else "#27335c", MONO, "end")
        f.circle(1180, y + 11, 8, "#5fc46b" if row % 3 else "#d3dbf3")
        if row % 3:
            f.path(f"M1176,{y + 11} l3,4 l5,-7", stroke="#fff", stroke_width=2)
    f.text(70, 250, "Ledgerline", 56, "#fff", SANS, font_weight="bold")
    f.text(70, 316, "4.2", 52, "#cfdcff", SANS)
    f.rect(70, 352, 240, 54, "#f3bf4f", rx=8)
    f.text(190, 388, "Service Pack 1", 24, "#14255c", SANS, "middle", font_weight="bold")
    for row, word in enumerate(["41 corrections", "Bank import, 6x faster", "Tax tables 2026/27"]):
        f.circle(80, 452 + row * 40, 6, "#f3bf4f")
        f.text(100, 459 + row * 40, word, 21, "#fff", SANS)


def sample_books(f):
    """Three account books on a desk, one of them open."""
    f.rect(0, 0, 1280, 720, f.gradient([(0, "#dfe7fb"), (1, "#b6c7f2")]))
    f.rect(0, 500, 1280, 220, f.gradient([(0, "#8a6a4a"), (1, "#5d442e")]))
    for grain in range(14):
        f.path(f"M0,{510 + grain * 15} q320,{(grain % 3 - 1) * 10} 640,0 t640,0", stroke="#4a3623", stroke_width=1.2, opacity=0.5)
    for book, (x, h, colour, name) in enumerate([(120, 300, "#1d4ed8", "BAKERY"), (190, 330, "#b4453a", "BOATYARD"), (260, 280, "#2f7f5f", "CHOIR")]):
        f.rect(x, 540 - h, 62, h, colour, rx=4)
        f.rect(x, 540 - h + 30, 62, 8, "#f3d98a")
        f.rect(x, 500, 62, 8, "#f3d98a")
        f.text(0, 0, name, 22, "#fff", SANS, "middle", font_weight="bold", transform=f"translate({x + 39} {540 - h / 2}) rotate(-90)")
    f.path("M420,560 C560,500 700,500 800,540 C900,500 1040,500 1180,560 L1180,600 L420,600 Z", "#14255c")
    f.path("M430,200 C560,150 700,150 800,190 L800,552 C700,512 560,512 430,562 Z", "#fffdf4")
    f.path("M1170,200 C1040,150 900,150 800,190 L800,552 C900,512 1040,512 1170,562 Z", "#f6f1df")
    rnd = noise(6)
    for row in range(11):
        y = 210 + row * 29
        f.path(f"M450,{y + 14} C570,{y - 30} 690,{y - 32} 790,{y}", stroke="#b9c6e6", stroke_width=1.5)
        f.path(f"M1150,{y + 14} C1030,{y - 30} 910,{y - 32} 810,{y}", stroke="#b9c6e6", stroke_width=1.5)
        f.text(560, y - 14, f"{rnd.randint(1, 28):02d}/0{rnd.randint(1, 6)}  {rnd.choice(['Flour', 'Timber', 'Hall hire', 'Varnish', 'Sheet music', 'Butter', 'Fuel'])}", 17, "#27335c", MONO, transform=f"rotate(-5 560 {y})")
        f.text(1110, y + 4, f"{rnd.uniform(-400, 900):,.2f}", 17, "#27335c", MONO, "end", transform=f"rotate(6 1110 {y})")
    f.line(745, 172, 748, 520, "#d98a8a", 2)
    f.line(985, 158, 985, 512, "#d98a8a", 2)
    f.text(640, 90, "Sample books", 54, "#14255c", SANS, "middle", font_weight="bold")
    f.text(640, 128, "a bakery, a boatyard and a choir, ready to play with", 22, "#27408b", SANS, "middle")


SUBJECTS = {
    "norrvik": (norrvik, 512, 512),
    "saltmarsh": (saltmarsh, 512, 512),
    "copperleaf": (copperleaf, 512, 512),
    "alternator": (alternator, 512, 512),
    "holt": (holt, 512, 512),
    "cover": (cover, 1000, 1000),
    "ledgerline": (ledgerline, 1280, 720),
    "sample-books": (sample_books, 1280, 720),
}

draw, width, height = SUBJECTS[sys.argv[1]]
still(sys.argv[2], width, height, draw)
