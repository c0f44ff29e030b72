#!/bin/sh
# Makes every picture, clip, track, caption file and download of the example channels, from nothing but code.
#
#   examples/make-media.sh                  all of it (about ten minutes on two cores)
#   examples/make-media.sh test-drive       one part: test-drive | author-interviews | how-to-manual |
#                                           garage-band | service-pack
#
# Needs, on Debian 12:  apt-get install ffmpeg espeak-ng sox libsox-fmt-all python3 fonts-dejavu
# (ffmpeg with librsvg, libx264, libvpx, libopus and libmp3lame, as Debian builds it; Python's standard
# library only). Nothing is downloaded and nothing is random: the same versions of these tools give the
# same files. Different encoder versions give different bytes of the same film, so the results are
# committed and this script runs only when something is to be changed.
#
# How: studio/speech.py speaks a script (studio/scripts/*.txt) sentence by sentence and writes captions,
# chapters and a timeline from the measured lengths; a scene file (studio/drive.py and so on) draws one SVG a
# frame along that timeline; ffmpeg turns frames and sound into a clip. studio/band.py plays the album with
# notes and drums made by sox.
#
# The page texts, channel.toml files and front matter are written by hand and not touched from here.

set -eu
export LC_ALL=C.UTF-8 TZ=UTC
here=$(cd "$(dirname "$0")" && pwd)
studio=$here/studio
work=$(mktemp -d "${TMPDIR:-/tmp}/groundswell-media.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1

for tool in ffmpeg ffprobe espeak-ng sox python3; do
    command -v "$tool" >/dev/null || { echo "make-media: $tool is missing; see the head of this file" >&2; exit 1; }
done

ff() { ffmpeg -hide_banner -loglevel error -nostdin -y "$@"; }

# speak SCRIPT CLIP: speech, captions, timeline. CLIP is the path without extension.
speak() {
    python3 "$studio/speech.py" "$studio/scripts/$1.txt" "$work/$1" "$2"
}

# The voice is warmed a little and put into a small room.
warm() { # NAME
    sox -R "$work/$1/speech.wav" -r 48000 -c 2 "$work/$1/voice.wav" \
        gain -9 highpass 70 bass +3 160 treble -2.5 6000 compand 0.02,0.15 6:-60,-40,-20,-9,0,-6 -3 -60 reverb 12 60 30 norm -2.5
}

# mix NAME: voice over the bed, ending together.
mix() {
    sox -R -m -v 1 "$work/$1/voice.wav" -v 1 "$work/$1/bed.wav" "$work/$1/mix.wav" trim 0 "$(seconds "$1")" fade t 0.6 -0 1.6 norm -2
}

seconds() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["seconds"])' "$work/$1/timeline.json"; }

# draw NAME SCENE: the frames.
draw() { python3 "$studio/$2.py" "$work/$1/timeline.json" "$work/$1/frames" "$1"; }

# mp4 NAME TARGET CRF TITLE: H.264 High 4:2:0 with a key frame every two seconds, AAC-LC, index in front.
mp4() {
    ff -framerate 25 -i "$work/$1/frames/%05d.svg" -i "$work/$1/mix.wav" -map 0:v -map 1:a \
        -vf "scale=960:540:out_color_matrix=bt709:out_range=tv,format=yuv420p" -c:v libx264 -profile:v high -preset slower -tune animation \
        -crf "$3" -g 50 -keyint_min 25 -threads 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
        -c:a aac -profile:a aac_low -b:a 96k -ar 48000 -ac 2 -flags:v +bitexact -flags:a +bitexact -fflags +bitexact \
        -map_metadata -1 -metadata title="$4" -movflags +faststart "$2"
}

# webm NAME TARGET CRF TITLE: VP9 and Opus.
webm() {
    ff -framerate 25 -i "$work/$1/frames/%05d.svg" -i "$work/$1/mix.wav" -map 0:v -map 1:a \
        -vf "scale=960:540:out_color_matrix=bt709:out_range=tv,format=yuv420p" -c:v libvpx-vp9 -crf "$3" -b:v 0 -g 50 -threads 2 \
        -row-mt 1 -cpu-used 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:a libopus -b:a 72k -ar 48000 \
        -flags:v +bitexact -flags:a +bitexact -fflags +bitexact -map_metadata -1 -metadata title="$4" "$2"
}

# poster CLIP SECONDS TARGET
poster() {
    ff -ss "$2" -i "$1" -frames:v 1 -vf "scale=1280:720:flags=lanczos" -q:v 3 -fflags +bitexact -flags:v +bitexact -map_metadata -1 "$3"
}

# picture SUBJECT TARGET: a drawn picture, .jpg or .png.
picture() {
    python3 "$studio/covers.py" "$1" "$work/$1.svg"
    ff -i "$work/$1.svg" -frames:v 1 -q:v 3 -update 1 -fflags +bitexact -flags:v +bitexact -map_metadata -1 "$2"
}

check() { # every file given decodes without a word of complaint
    for file in "$@"; do
        words=$(ffmpeg -hide_banner -nostdin -v warning -xerror -i "$file" -f null - 2>&1) || { echo "make-media: $file does not decode: $words" >&2; exit 1; }
        [ -z "$words" ] || { echo "make-media: $file decodes with: $words" >&2; exit 1; }
    done
}

test_drive() {
    out=$here/test-drive
    speak test-drive "$out/test-drive"
    warm test-drive
    # Road noise, a motor that whirrs up and down, and a slow chord.
    long=$(seconds test-drive)
    sox -R -n -r 48000 -c 2 "$work/test-drive/road.wav" synth "$long" brownnoise brownnoise lowpass 500 tremolo 0.13 45 gain -24
    ff -f lavfi -i "aevalsrc='0.05*sin(2*PI*(190*t+14*sin(0.42*t)*sin(0.17*t)))*(0.5+0.5*sin(0.33*t))|0.05*sin(2*PI*(191*t+14*sin(0.42*t)*sin(0.17*t)))*(0.5+0.5*sin(0.33*t+0.4))':s=48000:d=$long" \
        -fflags +bitexact "$work/test-drive/motor.wav"
    sox -R -n -r 48000 -c 2 "$work/test-drive/chord.wav" synth "$long" sine 146.8 sine 147.2 remix 1,2 1,2 gain -30
    sox -R -n -r 48000 -c 2 "$work/test-drive/chime.wav" synth 4 pluck A3 pluck E4 delay 0 0.25 remix 1,2 1,2 reverb 60 \
        pad 0 4 repeat 9 trim 0 "$long" gain -19
    sox -R -m -v 1 "$work/test-drive/road.wav" -v 0.5 "$work/test-drive/motor.wav" -v 1 "$work/test-drive/chord.wav" -v 1 "$work/test-drive/chime.wav" \
        "$work/test-drive/bed.wav"
    mix test-drive
    draw test-drive drive
    mp4 test-drive "$out/test-drive.mp4" 28 "Test drive: the Norrvik Tern"
    poster "$out/test-drive.mp4" 11.6 "$out/test-drive.jpg"
    picture norrvik "$out/logo.png"
    check "$out/test-drive.mp4" "$out/test-drive.jpg"
}

#PARTS#

for part in ${*:-test-drive author-interviews how-to-manual garage-band service-pack}; do
    echo "== $part"
    mkdir -p "$here/$part"
    case $part in
        test-drive) test_drive ;;
        author-interviews) author_interviews ;;
        how-to-manual) how_to_manual ;;
        garage-band) garage_band ;;
        service-pack) service_pack ;;
        *) echo "make-media: no part is called $part" >&2; exit 2 ;;
    esac
done
echo "== sizes"
du -sk "$here"/*/ | sort -n
