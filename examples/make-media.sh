#!/bin/sh
# Makes every picture, clip, track, caption file and download of the example channels, from nothing but code.
#
#   examples/make-media.sh                  all of it (about a quarter of an hour on two cores)
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
new=$work/new
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
        gain -12 highpass 70 bass +3 160 treble -2.5 6000 compand 0.02,0.15 6:-60,-40,-20,-9,0,-6 -3 -60 reverb 12 60 30 norm -2.5
}

# mix NAME: voice over the bed, ending together.
mix() {
    sox -R -m -v 1 "$work/$1/voice.wav" -v 1 "$work/$1/bed.wav" "$work/$1/mix.wav" trim 0 "$(seconds "$1")" fade t 0.6 -0 1.6 norm -2
}

seconds() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["seconds"])' "$work/$1/timeline.json"; }

# draw NAME SCENE: the frames.
draw() { python3 "$studio/$2.py" "$work/$1/timeline.json" "$work/$1/frames" "$1"; }

# mp4 NAME TARGET CRF TITLE: H.264 High 4:2:0 with a key frame every two seconds, AAC-LC, index in front.
# One thread: with two, x264 gives now and then other bytes for the same pictures.
mp4() {
    ff -framerate 25 -i "$work/$1/frames/%05d.svg" -i "$work/$1/mix.wav" -map 0:v -map 1:a \
        -vf "scale=960:540:out_color_matrix=bt709:out_range=tv,format=yuv420p" -c:v libx264 -profile:v high -preset slower -tune animation \
        -crf "$3" -g 50 -keyint_min 25 -threads 1 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
        -c:a aac -profile:a aac_low -b:a 96k -ar 48000 -ac 2 -flags:v +bitexact -flags:a +bitexact -fflags +bitexact \
        -map_metadata -1 -metadata title="$4" -movflags +faststart "$2"
}

# webm NAME TARGET CRF TITLE: VP9 and Opus, the seek index in front.
webm() {
    ff -framerate 25 -i "$work/$1/frames/%05d.svg" -i "$work/$1/mix.wav" -map 0:v -map 1:a \
        -vf "scale=960:540:out_color_matrix=bt709:out_range=tv,format=yuv420p" -c:v libvpx-vp9 -crf "$3" -b:v 0 -g 50 -threads 2 \
        -row-mt 1 -cpu-used 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:a libopus -b:a 72k -ar 48000 \
        -flags:v +bitexact -flags:a +bitexact -fflags +bitexact -map_metadata -1 -metadata title="$4" -cues_to_front 1 "$2"
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
    out=$new/test-drive
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
    mp4 test-drive "$out/test-drive.mp4" 29 "Test drive: the Norrvik Tern"
    poster "$out/test-drive.mp4" 11.6 "$out/test-drive.jpg"
    picture norrvik "$out/logo.png"
    check "$out/test-drive.mp4" "$out/test-drive.jpg"
}

# interview NAME TITLE POSTER-SECOND ENCODER EXTENSION CRF
interview() {
    out=$new/author-interviews
    speak "$1" "$out/$1"
    warm "$1"
    bed_"$(echo "$1" | tr - _)" "$(seconds "$1")" "$work/$1/bed.wav"
    mix "$1"
    draw "$1" interviews
    "$4" "$1" "$out/$1.$5" "$6" "$2"
    poster "$out/$1.$5" "$3" "$out/$1.jpg"
    check "$out/$1.$5" "$out/$1.jpg"
}

# Rain on a window, with a clock.
bed_ines_calloway() {
    sox -R -n -r 48000 -c 2 "$work/rain.wav" synth "$1" pinknoise pinknoise gain -9 highpass 900 lowpass 7000 tremolo 0.21 35 gain -24
    sox -R -n -r 48000 -c 2 "$work/tick.wav" synth 0.03 square 2100 square 2100 fade q 0 0.03 0.028 pad 0 0.97 repeat 70 trim 0 "$1" gain -36
    sox -R -m -v 1 "$work/rain.wav" -v 1 "$work/tick.wav" "$2"
}

# Wheels over joints in the rails, two and two.
bed_tomas_brandt() {
    sox -R -n -r 48000 -c 2 "$work/clack.wav" synth 0.09 brownnoise brownnoise highpass 140 lowpass 1600 fade q 0 0.09 0.08 gain -n -20
    sox -R "$work/clack.wav" "$work/two.wav" pad 0 0.12
    sox -R "$work/two.wav" "$work/clack.wav" "$work/pair.wav" pad 0 0.72
    sox -R "$work/pair.wav" "$work/wheels.wav" repeat 60 trim 0 "$1"
    sox -R -n -r 48000 -c 2 "$work/rumble.wav" synth "$1" brownnoise brownnoise lowpass 260 tremolo 0.4 25 gain -24
    sox -R -m -v 1 "$work/wheels.wav" -v 1 "$work/rumble.wav" "$2"
}

# Small waves, and a foghorn far away.
bed_ruth_adeyemi() {
    sox -R -n -r 48000 -c 2 "$work/waves.wav" synth "$1" pinknoise pinknoise lowpass 900 tremolo 0.16 80 gain -27
    sox -R -n -r 48000 -c 2 "$work/horn.wav" synth 2.4 sawtooth 98 sawtooth 98.6 lowpass 420 fade q 0.3 2.4 0.9 pad 6.5 3.5 repeat 4 reverb 80 trim 0 "$1" gain -29
    sox -R -m -v 1 "$work/waves.wav" -v 1 "$work/horn.wav" "$2"
}

author_interviews() {
    interview ines-calloway "Ines Calloway on one missing night" 9.6 mp4 mp4 30
    interview tomas-brandt "Tomas Brandt on slow trains" 11.4 webm webm 42
    interview ruth-adeyemi "Ruth Adeyemi on eleven kinds of fog" 11.9 mp4 mp4 28
    picture saltmarsh "$new/author-interviews/logo.png"
}

# lesson NAME TITLE POSTER-SECOND
lesson() {
    out=$new/how-to-manual
    speak "$1" "$out/$1"
    warm "$1"
    # A bench at work: mains hum, a fan, and a soft two-note figure.
    long=$(seconds "$1")
    sox -R -n -r 48000 -c 2 "$work/fan.wav" synth "$long" pinknoise pinknoise lowpass 700 gain -36
    sox -R -n -r 48000 -c 2 "$work/hum.wav" synth "$long" sine 100 sine 100 gain -44
    sox -R -n -r 48000 -c 2 "$work/figure.wav" synth 3.2 pluck D4 pluck A4 delay 0 0.4 remix 1,2 1,2 reverb 50 pad 0 1.6 repeat 14 trim 0 "$long" gain -23
    sox -R -m -v 1 "$work/fan.wav" -v 1 "$work/hum.wav" -v 1 "$work/figure.wav" "$work/$1/bed.wav"
    mix "$1"
    draw "$1" workbench
    mp4 "$1" "$out/$1.mp4" 29 "$2"
    poster "$out/$1.mp4" "$3" "$out/$1.jpg"
    check "$out/$1.mp4" "$out/$1.jpg"
}

how_to_manual() {
    lesson compensate-a-probe "Compensate a probe in one minute" 23.4
    lesson solder-a-pin-header "Solder a pin header" 24.9
    picture copperleaf "$new/how-to-manual/logo.png"
}

# song NUMBER NAME TITLE FILE ENCODER-OPTIONS…
song() {
    number=$1 name=$2 title=$3 file=$4
    shift 4
    python3 "$studio/band.py" "$name" "$work/band"
    # The garage: small, hard walls.
    sox -R -D "$work/band/$name.wav" "$work/band/$name-room.wav" gain -5 reverb 22 40 35 100 4 norm -1
    ff -i "$work/band/$name-room.wav" "$@" -fflags +bitexact -flags:a +bitexact -map_metadata -1 -metadata title="$title" -metadata artist="Sunday Alternator" \
        -metadata album="Borrowed Amplifiers" -metadata album_artist="Sunday Alternator" -metadata track="$number/5" -metadata date=2026 -metadata genre="Garage rock" \
        "$new/garage-band/borrowed-amplifiers/$file"
    check "$new/garage-band/borrowed-amplifiers/$file"
}

garage_band() {
    album=$new/garage-band/borrowed-amplifiers
    mkdir -p "$album"
    song 1 cold-start "Cold Start" "01 Cold Start.mp3" -c:a libmp3lame -b:a 192k -id3v2_version 3
    song 2 drip-tray "Drip Tray" "02 Drip Tray.mp3" -c:a libmp3lame -b:a 192k -id3v2_version 3
    song 3 neighbours "Neighbours, in C" "03 Neighbours, in C.flac" -c:a flac -compression_level 12 -sample_fmt s16
    song 4 nine-volt "Nine Volt" "04 Nine Volt.opus" -c:a libopus -b:a 112k -ar 48000
    song 5 lock-up "Lights Off, Lock Up" "05 Lights Off, Lock Up.flac" -c:a flac -compression_level 12 -sample_fmt s16
    picture cover "$album/cover.jpg"
    picture alternator "$new/garage-band/logo.png"
}

service_pack() {
    python3 "$studio/service_pack.py" "$new/service-pack"
    picture ledgerline "$new/service-pack/ledgerline-4.2-sp1.jpg"
    picture sample-books "$new/service-pack/ledgerline-sample-books.jpg"
    picture holt "$new/service-pack/logo.png"
}

for part in ${*:-test-drive author-interviews how-to-manual garage-band service-pack}; do
    echo "== $part"
    mkdir -p "$new/$part"
    case $part in
        test-drive) test_drive ;;
        author-interviews) author_interviews ;;
        how-to-manual) how_to_manual ;;
        garage-band) garage_band ;;
        service-pack) service_pack ;;
        *) echo "make-media: no part is called $part" >&2; exit 2 ;;
    esac
    # Only now, and as new files: a running seeder may hold hard links to the old ones, which must not change.
    mkdir -p "$here/$part"
    cp -R --remove-destination "$new/$part/." "$here/$part/"
done
echo "== sizes"
du -sk "$here"/*/ | sort -n
