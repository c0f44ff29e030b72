"""Turns a spoken script into sound, captions, chapters and a timeline.

    speech.py SCRIPT WORK CLIP      writes WORK/speech.wav, WORK/timeline.json and CLIP.<language>.vtt;
                                    CLIP.chapters.vtt too, when the script says `chapters vtt`

A script is lines of:
    voice anna = en-gb+f3 -s 150 -p 50 | Anna Holm    a speaker: espeak-ng voice and options | name
    names                                             captions carry the speakers' names
    chapters vtt                                      chapters go into a file (else into the front matter, by hand)
    [The coast road]                                  a chapter starts
    anna: A sentence, as it is shown.                 spoken and captioned
      say: a sentence as it is pronounced             where that differs
      de: Ein Satz, wie er übersetzt gezeigt wird.    a caption in a further language
    ~ 1.5                                             silence, in seconds

Every sentence is spoken on its own, and the captions' times are counted in its samples, so they match."""

import array
import json
import os
import re
import subprocess
import sys
import textwrap
import wave

RATE = 22050  # what espeak-ng speaks at
GAP = 0.38  # between two sentences
LEAD, TAIL = 1.2, 2.2  # before the first, after the last
FPS = 25


def parse(path):
    script = {"voices": {}, "names": False, "chapters_vtt": False, "items": []}
    for raw in open(path, encoding="utf-8"):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("voice "):
            key, rest = line[6:].split("=", 1)
            options, name = rest.split("|")
            script["voices"][key.strip()] = (options.split(), name.strip())
        elif line == "names":
            script["names"] = True
        elif line == "chapters vtt":
            script["chapters_vtt"] = True
        elif line.startswith("["):
            script["items"].append({"chapter": line[1:-1]})
        elif line.startswith("~"):
            script["items"].append({"pause": float(line[1:])})
        elif raw[0] == " ":
            key, rest = line.split(":", 1)
            script["items"][-1][key] = rest.strip()
        else:
            key, rest = line.split(":", 1)
            script["items"].append({"voice": key, "en": rest.strip()})
    return script


def speak(options, text, work):
    target = os.path.join(work, "sentence.wav")
    subprocess.run(["espeak-ng", "-z", "-v", *options, "-w", target, text], check=True)
    with wave.open(target) as source:
        samples = array.array("h", source.readframes(source.getnframes()))
    loud = [i for i in range(0, len(samples), 64) if abs(samples[i]) > 200]
    return samples[max(0, loud[0] - 400) : loud[-1] + 1500] if loud else samples


def stamp(seconds):
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def write_captions(path, cues, language, script):
    with open(path, "w", encoding="utf-8") as out:
        out.write("WEBVTT\n")
        for number, cue in enumerate(cues, 1):
            if language not in cue:
                continue
            text = "\n".join(textwrap.wrap(cue[language], 46))
            if script["names"]:
                text = f"<v {script['voices'][cue['voice']][1]}>{text}"
            out.write(f"\n{number}\n{stamp(cue['start'])} --> {stamp(cue['end'])}\n{text}\n")


def main():
    script_path, work, clip = sys.argv[1:4]
    os.makedirs(work, exist_ok=True)
    script = parse(script_path)
    sound = array.array("h", bytes(2 * int(LEAD * RATE)))
    cues, chapters = [], []
    for item in script["items"]:
        if "chapter" in item:
            # The first chapter begins with the picture, the others a breath before their first word.
            start = 0.0 if not chapters else len(sound) / RATE - 0.2
            chapters.append({"start": start, "title": item["chapter"]})
        elif "pause" in item:
            sound.extend(array.array("h", bytes(2 * int(item["pause"] * RATE))))
        else:
            options, _ = script["voices"][item["voice"]]
            start = len(sound) / RATE
            sound.extend(speak(options, item.get("say", item["en"]), work))
            cues.append({**item, "start": start, "end": len(sound) / RATE + 0.15})
            sound.extend(array.array("h", bytes(2 * int(GAP * RATE))))
    sound.extend(array.array("h", bytes(2 * int(TAIL * RATE))))
    # Whole frames, so that sound and picture end together.
    step = RATE // FPS
    sound.extend(array.array("h", bytes(2 * (-len(sound) % step))))
    seconds = len(sound) / RATE

    with wave.open(os.path.join(work, "speech.wav"), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        out.writeframes(sound.tobytes())
    level = [max(abs(v) for v in sound[i : i + step : 7]) / 32768 for i in range(0, len(sound), step)]
    for at, chapter in enumerate(chapters):
        chapter["end"] = chapters[at + 1]["start"] if at + 1 < len(chapters) else seconds
    with open(os.path.join(work, "timeline.json"), "w", encoding="utf-8") as out:
        json.dump({"seconds": seconds, "level": level, "cues": cues, "chapters": chapters}, out)

    languages = sorted({k for cue in cues for k in cue if re.fullmatch("[a-z]{2}", k)})
    for language in languages:
        write_captions(f"{clip}.{language}.vtt", cues, language, script)
    if script["chapters_vtt"]:
        with open(f"{clip}.chapters.vtt", "w", encoding="utf-8") as out:
            out.write("WEBVTT\n")
            for number, chapter in enumerate(chapters, 1):
                out.write(f"\n{number}\n{stamp(chapter['start'])} --> {stamp(chapter['end'])}\n{chapter['title']}\n")
    print(f"{os.path.basename(clip)}: {seconds:.1f} s; " + "; ".join(f"{c['start']:.1f} {c['title']}" for c in chapters))


main()
