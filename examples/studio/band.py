"""Plays the album: drums, bass, guitars and an organ, each note made once by sox and set in place here.
`band.py SONG WORK` writes WORK/SONG.wav (44.1 kHz, stereo); make-media.sh tags and encodes it."""

import array
import os
import random
import subprocess
import sys
import wave

RATE = 44100
NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def up(note, semitones):
    """`up("E2", 7)` is B2."""
    name, octave = note[:-1], int(note[-1])
    at = NOTES.index(name) + 12 * octave + semitones
    return f"{NOTES[at % 12]}{at // 12}"


def hertz(note):
    name, octave = note[:-1], int(note[-1])
    return 440 * 2 ** ((NOTES.index(name) + 12 * octave - 57) / 12)


class Studio:
    """Samples by sox, kept by what made them, and the two tracks of the tape."""

    def __init__(self, seconds, seed):
        self.cache = {}
        self.left = array.array("f", bytes(4 * int((seconds + 3) * RATE)))
        self.right = array.array("f", bytes(4 * int((seconds + 3) * RATE)))
        self.random = random.Random(seed)

    def sample(self, *effects, voices=1):
        key = (voices, effects)
        if key not in self.cache:
            command = ["sox", "-R", "-D", "-r", str(RATE), "-c", str(voices), "-n", "-t", "s16", "-", *map(str, effects)]
            data = array.array("h", subprocess.run(command, check=True, capture_output=True).stdout)
            peak = max(1, max(abs(v) for v in data))
            self.cache[key] = array.array("f", [v / peak for v in data])
        return self.cache[key]

    def put(self, at, sample, gain, pan=0.0, loose=0.004):
        """Sets a sample at `at` seconds; players are never quite on the beat, nor equally loud."""
        start = max(0, int((at + self.random.uniform(-loose, loose)) * RATE))
        gain *= self.random.uniform(0.9, 1.0)
        gl, gr = gain * min(1, 1 - pan), gain * min(1, 1 + pan)
        left, right = self.left, self.right
        for i, value in enumerate(sample[: len(left) - start], start):
            left[i] += value * gl
            right[i] += value * gr

    def kick(self):
        return self.sample("synth", 0.28, "sine", "170/42", "overdrive", 4, 0, "fade", "q", 0, 0.28, 0.2)

    def snare(self, tone=195):
        return self.sample("synth", 0.22, "whitenoise", "synth", 0.22, "sine", "mix", tone, "highpass", 150, "fade", "q", 0, 0.22, 0.19)

    def hat(self, length=0.06):
        return self.sample("synth", length, "whitenoise", "highpass", 7500, "fade", "q", 0, length, length * 0.9)

    def crash(self):
        return self.sample("synth", 2.2, "whitenoise", "highpass", 4200, "tremolo", 11, 25, "fade", "q", 0, 2.2, 2.1)

    def tom(self, hz):
        return self.sample("synth", 0.4, "sine", f"{hz}/{hz * 0.6:.0f}", "fade", "q", 0, 0.4, 0.34)

    def stick(self):
        return self.sample("synth", 0.05, "triangle", 1900, "synth", 0.05, "whitenoise", "mix", "highpass", 900, "fade", "q", 0, 0.05, 0.045)

    def bass(self, note, length):
        return self.sample("synth", length, "pluck", note, "synth", length, "triangle", "mix", f"{hertz(note):.2f}", "lowpass", 900, "overdrive", 6, 5,
                           "fade", "q", 0.004, length, min(0.12, length / 3))

    def fuzz(self, note, length, palm=False):
        """A power chord through a small, unhappy amplifier."""
        chord = ["synth", length, "pluck", note, "pluck", up(note, 7), "pluck", up(note, 12)]
        return self.mono(chord, ["overdrive", 32, 18, "lowpass", 1500 if palm else 4200, "highpass", 95, "equalizer", 1800, "1q", 5, "fade", "q", 0.002, length, 0.05 if palm else 0.12])

    def strings(self, notes, length, *effects):
        """Clean plucked strings, struck together."""
        chord = ["synth", length]
        for note in notes:
            chord += ["pluck", note]
        return self.mono(chord, [*effects, "fade", "q", 0, length, length * 0.4])

    def organ(self, notes, length):
        chord = ["synth", length]
        for note in notes:
            chord += ["sine", f"{hertz(note):.2f}", "sine", f"{hertz(note) * 2:.2f}"]
        return self.mono(chord, ["overdrive", 3, 0, "tremolo", 6.2, 30, "lowpass", 3000, "fade", "q", 0.02, length, 0.08])

    def lead(self, note, length):
        return self.sample("synth", length, "square", f"{hertz(note):.2f}", "synth", length, "sawtooth", "mix", f"{hertz(note) * 1.004:.2f}", "lowpass", 2600,
                           "tremolo", 5.5, 18, "fade", "q", 0.01, length, min(0.15, length / 2))

    def mono(self, synth, effects):
        """sox plays each voice on its own channel, which `remix -` folds into one."""
        return self.sample(*synth, "remix", "-", *effects, voices=(len(synth) - 2) // 2)

    def drums(self, start, step, kick="", snare="", hat="", gain=1.0):
        """One bar from three rows of steps: `x` is a stroke, `o` an open hat, `.` nothing."""
        for i, mark in enumerate(kick):
            if mark == "x":
                self.put(start + i * step, self.kick(), 0.85 * gain)
        for i, mark in enumerate(snare):
            if mark == "x":
                self.put(start + i * step, self.snare(), 0.55 * gain, 0.05)
        for i, mark in enumerate(hat):
            if mark != ".":
                self.put(start + i * step, self.hat(0.3 if mark == "o" else 0.06), (0.20 if i % 4 == 0 else 0.13) * gain, 0.3)

    def count_in(self, beat, beats):
        for i in range(beats):
            self.put(0.2 + i * beat, self.stick(), 0.4, -0.1)
        return 0.2 + beats * beat

    def save(self, path, seconds):
        count = int(seconds * RATE)
        peak = max(max(abs(v) for v in self.left[:count]), max(abs(v) for v in self.right[:count]))
        scale = 32000 / peak
        out = array.array("h", bytes(4 * count))
        out[0::2] = array.array("h", [int(v * scale) for v in self.left[:count]])
        out[1::2] = array.array("h", [int(v * scale) for v in self.right[:count]])
        with wave.open(path, "wb") as target:
            target.setparams((2, 2, RATE, 0, "NONE", "not compressed"))
            target.writeframes(out.tobytes())


def cold_start(s):
    """Fast and loud, in E: two guitars, eighths on the bass, one drum break."""
    beat = 60 / 172
    at = s.count_in(beat, 4)
    bars = ["E2", "E2", "G2", "A2", "E2", "E2", "C2", "D2"] * 2 + ["E2", "A2", "E2", "B2"]
    for n, root in enumerate(bars):
        break_ = n in (7, 15)
        if n % 8 == 0:
            s.put(at, s.crash(), 0.30, -0.3)
        if break_:
            for i, hz in enumerate([210, 210, 170, 170, 130, 130, 100, 100]):
                s.put(at + i * beat / 2, s.tom(hz), 0.7, 0.4 - i * 0.1)
                s.put(at + i * beat / 2, s.snare(), 0.25)
        else:
            s.drums(at, beat / 2, "x..xx...", "..x...x.", "xxxxxxxx")
        palm = n % 8 in (0, 1, 4, 5)
        for i in range(8):
            muted = palm and i not in (0, 3)
            s.put(at + i * beat / 2, s.fuzz(root, 0.16 if muted else 0.34, muted), 0.30, -0.55)
            if not palm or i in (0, 3):
                s.put(at + i * beat / 2, s.fuzz(up(root, 12), 0.34, False), 0.17, 0.6)
            s.put(at + i * beat / 2, s.bass(up(root, -12) if root not in ("C2", "D2") else root, 0.2), 0.42)
        if n >= 8 and n < 16:
            riff = [12, 15, 17, 15, 19, 17, 15, 12]
            for i, interval in enumerate(riff):
                s.put(at + i * beat / 2, s.lead(up("E3", interval - 12 + (0 if n % 4 < 2 else 3)), 0.15), 0.10, 0.25)
        at += 4 * beat
    s.put(at, s.fuzz("E2", 2.4), 0.5, -0.3)
    s.put(at, s.fuzz("E3", 2.4), 0.25, 0.4)
    s.put(at, s.bass("E1", 2.0), 0.5)
    s.put(at, s.crash(), 0.4)
    s.put(at, s.kick(), 0.9)
    return at + 2.5


def drip_tray(s):
    """A lazy groove in A minor: the bass leads, the organ answers off the beat."""
    beat = 60 / 96
    at = s.count_in(beat, 4)
    line = [("A1", 0, 0.7), ("A1", 1.5, 0.3), ("C2", 2, 0.4), ("D2", 2.5, 0.4), ("E2", 3, 0.5), ("G1", 3.5, 0.4)]
    roots = [0, 0, 5, 0, 0, 5, -2, 0, 0, 3, 5, 0]
    for n, shift in enumerate(roots):
        for note, when, length in line:
            s.put(at + when * beat, s.bass(up(note, shift), length * beat + 0.1), 0.62)
        s.drums(at, beat / 4, "x.....x...x.....", "....x.......x..x", "x.xxx.x.x.xxx.o.")
        if n >= 2:
            for when in (0.5, 1.5, 2.5, 3.5):
                third = 4 if shift == 5 and n % 3 == 2 else 3
                s.put(at + when * beat, s.organ([up("A3", shift), up("A3", shift + third), up("A3", shift + 7)], 0.22), 0.26, -0.4)
        if n >= 4 and n % 2 == 0:
            for i, (interval, when) in enumerate([(12, 0), (15, 0.75), (14, 1.5), (12, 2), (10, 2.5), (7, 3)]):
                s.put(at + when * beat, s.strings([up("A3", interval + shift - 12)], 0.9, "overdrive", 8, 8, "lowpass", 3500), 0.30, 0.45)
        at += 4 * beat
    s.put(at, s.organ(["A3", "C4", "E4", "G4"], 1.8), 0.4, -0.2)
    s.put(at, s.bass("A1", 1.6), 0.6)
    s.put(at, s.kick(), 0.8)
    return at + 2.2


def neighbours(s):
    """A waltz in C on clean strings and brushes: quiet, since it is half past ten."""
    beat = 60 / 126
    at = s.count_in(beat, 3)
    chords = [("C3", 4), ("A2", 3), ("F2", 4), ("G2", 4), ("C3", 4), ("E2", 3), ("F2", 4), ("G2", 4), ("A2", 3), ("F2", 4), ("D3", 3), ("G2", 4), ("C3", 4), ("A2", 3), ("F2", 4), ("G2", 4)]
    tune = ["E4", "G4", "C5", "B4", "A4", "E4", "F4", "A4", "D4", "B3", "C4", "D4", "E4", "E4", "G4", "B4", "A4", "G4", "F4", "C5", "B4", "A4", "G4", "D4"]
    for n, (root, third) in enumerate(chords):
        s.put(at, s.bass(up(root, -12) if root[-1] == "3" else root, 3 * beat * 0.8), 0.42)
        notes = [root, up(root, third), up(root, 7), up(root, 12), up(root, 12 + third)]
        for i, pick in enumerate([0, 2, 3, 4, 3, 2]):
            s.put(at + i * beat / 2, s.strings([notes[pick]], 1.5), 0.30, -0.35)
        brush = s.sample("synth", 0.3, "pinknoise", "highpass", 2500, "fade", "q", 0.04, 0.3, 0.2)
        s.put(at + beat, brush, 0.14, 0.2)
        s.put(at + 2 * beat, brush, 0.16, 0.2)
        s.put(at, s.kick(), 0.32)
        if n >= 4:
            for i in range(2 if n % 2 else 1):
                note = tune[(n * 2 + i) % len(tune)]
                s.put(at + i * beat * 2, s.strings([note, up(note, 12)], 1.7, "tremolo", 4, 20), 0.42, 0.4)
        at += 3 * beat
    # The neighbour, on the wall, three times.
    for i in range(3):
        s.put(at + 0.5 + i * 0.34, s.tom(92), 0.8, 0.7)
    s.put(at, s.strings(["C3", "E3", "G3", "C4"], 2.8), 0.6)
    return at + 2.8


def nine_volt(s):
    """A motor that never stops, in D: a pulse, a drone and a toy keyboard with a fresh battery."""
    beat = 60 / 144
    at = s.count_in(beat, 4)
    for n in range(18):
        root = "D2" if n % 6 < 4 else "F2" if n % 6 == 4 else "G2"
        s.drums(at, beat / 2, "x.xxx.xx", "..x...x.", "xoxoxoxo" if n > 5 else "x.x.x.x.", 0.9)
        for i in range(8):
            s.put(at + i * beat / 2, s.bass(up(root, -12 if i % 4 == 3 else 0), 0.2), 0.45)
        if n >= 2:
            for i, interval in enumerate([0, 7, 12, 7, 14, 12, 7, 12]):
                s.put(at + i * beat / 2, s.lead(up(root, 24 + interval), 0.11), 0.13, -0.6 + 0.17 * i)
        if n >= 6 and n % 2 == 0:
            s.put(at, s.organ([up(root, 12), up(root, 19), up(root, 24)], 8 * beat * 0.95), 0.22, 0.3)
        if n >= 8:
            for i, (interval, length) in enumerate([(24, 0.5), (26, 0.25), (27, 0.25), (31, 0.9)] if n % 2 else [(34, 0.5), (31, 0.5), (29, 0.9)]):
                s.put(at + i * beat * 1.1, s.lead(up("D2", interval), length), 0.17, 0.15)
        if n % 6 == 0:
            s.put(at, s.crash(), 0.22, -0.4)
        at += 4 * beat
    # The battery dies.
    s.put(at, s.sample("synth", 2.4, "square", "587/40", "lowpass", 1800, "fade", "q", 0.01, 2.4, 1.0), 0.35)
    return at + 2.4


def lock_up(s):
    """The last one, slow, in G: fingers, a far organ, a heartbeat of a drum, and the garage door."""
    beat = 60 / 72
    at = 0.4
    chords = [("G2", 4), ("E2", 3), ("C3", 4), ("D3", 4), ("G2", 4), ("C3", 4), ("D3", 4), ("G2", 4)]
    tune = [("D4", 0), ("B3", 1), ("D4", 1.5), ("E4", 2), ("G4", 3)], [("F#4", 0), ("D4", 1), ("B3", 2.5)]
    for n, (root, third) in enumerate(chords):
        notes = [root, up(root, 7), up(root, 12), up(root, 12 + third), up(root, 19)]
        for i, pick in enumerate([0, 1, 2, 3, 4, 3, 2, 3]):
            s.put(at + i * beat / 2, s.strings([notes[pick]], 2.2), 0.38, -0.25, 0.008)
        if n >= 2:
            s.put(at, s.organ([notes[2], notes[3], notes[4]], 4 * beat), 0.13, 0.2)
            s.put(at, s.kick(), 0.5)
            s.put(at + 2.5 * beat, s.kick(), 0.3)
            s.put(at + 2 * beat, s.hat(0.2), 0.10, 0.3)
        if n >= 3:
            s.put(at, s.bass(up(root, -12) if root[-1] == "3" else root, 3.6 * beat), 0.35)
            for note, when in tune[n % 2]:
                s.put(at + when * beat, s.strings([note], 2.0, "tremolo", 5, 25), 0.42, 0.35)
        at += 4 * beat
    s.put(at, s.strings(["G2", "D3", "G3", "B3", "G4"], 4.0), 0.7)
    rattle = s.sample("synth", 1.5, "brownnoise", "tremolo", 17, 90, "highpass", 200, "fade", "q", 0.1, 1.5, 0.2)
    s.put(at + 1.6, rattle, 0.5, -0.2)
    s.put(at + 3.1, s.tom(70), 0.9)
    return at + 4.2


SONGS = {"cold-start": (cold_start, 40, 1), "drip-tray": (drip_tray, 45, 2), "neighbours": (neighbours, 40, 3), "nine-volt": (nine_volt, 50, 4), "lock-up": (lock_up, 50, 5)}

play, longest, seed = SONGS[sys.argv[1]]
os.makedirs(sys.argv[2], exist_ok=True)
tape = Studio(longest, seed)
tape.save(os.path.join(sys.argv[2], f"{sys.argv[1]}.wav"), play(tape))
