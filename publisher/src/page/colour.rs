//! From one accent colour to a whole palette that can be read, light and dark.
//!
//! The publisher picks any colour, also white or a shrill yellow; what is printed in it has to reach the
//! contrasts of WCAG AA (4.5 for text, 3 for shapes) on every ground it can stand on. So shades are found
//! here by measuring, not in the style sheet by hoping. Mixing is done in OKLCH, where a step in
//! lightness looks the same for every hue. The result is `theme.css`, nothing but custom properties.

use std::fmt::Write as _;

use super::view::ThemeView;

/// Contrast that WCAG AA wants for text, with a little to spare for rounding.
const TEXT: f64 = 4.55;
/// Contrast for shapes that carry meaning: borders of fields, icons, the focus ring.
const SHAPE: f64 = 3.05;

/// A colour of a screen, 8 bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rgb(pub(super) [u8; 3]);

impl Rgb {
    pub(super) const WHITE: Rgb = Rgb([255; 3]);

    /// Reads `#rrggbb`.
    pub(super) fn parse(text: &str) -> Option<Rgb> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(digits, 16).ok()?;
        let [_, r, g, b] = value.to_be_bytes();
        Some(Rgb([r, g, b]))
    }

    pub(super) fn css(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// WCAG's relative luminance, 0 to 1.
    fn luminance(self) -> f64 {
        let [r, g, b] = self.0.map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// WCAG's contrast ratio, 1 to 21.
    pub(super) fn contrast(self, other: Rgb) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        (a / b).max(b / a)
    }

    pub(super) fn oklch(self) -> Oklch {
        let [r, g, b] = self.0.map(linear);
        let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
        let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
        let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
        let (a, b) = (
            1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
            0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
        );
        Oklch {
            l: 0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            c: a.hypot(b),
            h: b.atan2(a),
        }
    }
}

/// Lightness (0 to 1), chroma (0 to about 0.35) and hue (radians).
#[derive(Debug, Clone, Copy)]
pub(super) struct Oklch {
    pub(super) l: f64,
    pub(super) c: f64,
    pub(super) h: f64,
}

impl Oklch {
    /// The nearest colour a screen has: chroma gives way, lightness and hue stay.
    pub(super) fn rgb(self) -> Rgb {
        let l = self.l.clamp(0.0, 1.0);
        for step in 0..=40 {
            let c = self.c * (1.0 - f64::from(step) / 40.0);
            let channels = Oklch { l, c, ..self }.linear_channels();
            if channels.iter().all(|x| (-0.002..=1.002).contains(x)) {
                return Rgb(channels.map(gamma));
            }
        }
        Rgb([gamma(l * l * l); 3])
    }

    fn linear_channels(self) -> [f64; 3] {
        let (a, b) = (self.c * self.h.cos(), self.c * self.h.sin());
        let l = (self.l + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
        let m = (self.l - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
        let s = (self.l - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
        [
            4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
            -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
            -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
        ]
    }

    /// This colour made lighter or darker in small steps until it stands out from every ground.
    fn readable_on(self, grounds: &[Rgb], wanted: f64) -> Rgb {
        let dark_ground = grounds.iter().all(|g| g.luminance() < 0.18);
        let step = if dark_ground { 0.01 } else { -0.01 };
        let mut colour = self;
        loop {
            let rgb = colour.rgb();
            if grounds.iter().all(|g| rgb.contrast(*g) >= wanted) {
                return rgb;
            }
            colour.l += step;
            if !(0.0..=1.0).contains(&colour.l) {
                return if dark_ground { Rgb::WHITE } else { Rgb([0; 3]) };
            }
        }
    }
}

fn linear(channel: u8) -> f64 {
    let x = f64::from(channel) / 255.0;
    if x <= 0.040_45 {
        x / 12.92
    } else {
        ((x + 0.055) / 1.055).powf(2.4)
    }
}

fn gamma(x: f64) -> u8 {
    let x = x.clamp(0.0, 1.0);
    let x = if x <= 0.003_130_8 {
        x * 12.92
    } else {
        1.055 * x.powf(1.0 / 2.4) - 0.055
    };
    (x * 255.0).round() as u8
}

/// Every colour of a page in one scheme. Field names are the custom properties' names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    /// The page.
    pub(super) bg: Rgb,
    /// Raised areas.
    pub(super) surface: Rgb,
    /// Areas that answer to the pointer, tinted with the accent.
    pub(super) tint: Rgb,
    /// Hairlines, without meaning of their own.
    pub(super) line: Rgb,
    /// Words.
    pub(super) text: Rgb,
    /// Words of second rank.
    pub(super) muted: Rgb,
    /// The accent as a filled shape: the publisher's own colour, untouched.
    pub(super) accent: Rgb,
    /// The accent as a line that must be seen on the page: the edge of that shape, a mark.
    pub(super) accent_edge: Rgb,
    /// Words on that shape.
    pub(super) on_accent: Rgb,
    /// The accent as words.
    pub(super) accent_text: Rgb,
}

/// Lightness of grounds and words in one scheme.
struct Scheme {
    bg: f64,
    surface: f64,
    tint: f64,
    line: f64,
    text: f64,
    muted: f64,
}

const LIGHT: Scheme = Scheme {
    bg: 0.984,
    surface: 1.0,
    tint: 0.962,
    line: 0.905,
    text: 0.225,
    muted: 0.475,
};
const DARK: Scheme = Scheme {
    bg: 0.172,
    surface: 0.212,
    tint: 0.258,
    line: 0.32,
    text: 0.945,
    muted: 0.735,
};
/// The dark room around a video, the same in both schemes.
const STAGE: Scheme = Scheme {
    bg: 0.138,
    surface: 0.196,
    tint: 0.25,
    line: 0.3,
    text: 0.955,
    muted: 0.74,
};

impl Palette {
    fn new(accent: Rgb, scheme: &Scheme) -> Palette {
        let base = accent.oklch();
        // Greys take a breath of the accent's hue; a grey accent leaves them grey.
        let breath = (base.c * 0.08).min(0.014);
        let grey = |l: f64, share: f64| {
            Oklch {
                l,
                c: breath * share,
                h: base.h,
            }
            .rgb()
        };
        let bg = grey(scheme.bg, 0.28);
        let surface = grey(scheme.surface, 0.4);
        let tint = Oklch {
            l: scheme.tint,
            c: (base.c * 0.1).min(0.02),
            h: base.h,
        }
        .rgb();
        let grounds = [bg, surface, tint];
        let fill = accent;
        // White words unless only dark ones can be read; one of the two always can.
        let on_accent = if fill.contrast(Rgb::WHITE) >= TEXT {
            Rgb::WHITE
        } else {
            Oklch {
                l: 0.16,
                c: breath,
                h: base.h,
            }
            .readable_on(&[fill], TEXT)
        };
        Palette {
            bg,
            surface,
            tint,
            line: grey(scheme.line, 0.8),
            text: Oklch {
                l: scheme.text,
                c: breath * 0.8,
                h: base.h,
            }
            .readable_on(&grounds, 7.05),
            muted: Oklch {
                l: scheme.muted,
                c: breath,
                h: base.h,
            }
            .readable_on(&grounds, TEXT),
            accent: fill,
            accent_edge: base.readable_on(&grounds, SHAPE),
            on_accent,
            accent_text: base.readable_on(&grounds, TEXT),
        }
    }

    pub(super) fn light(accent: Rgb) -> Palette {
        Palette::new(accent, &LIGHT)
    }

    pub(super) fn dark(accent: Rgb) -> Palette {
        Palette::new(accent, &DARK)
    }

    pub(super) fn stage(accent: Rgb) -> Palette {
        Palette::new(accent, &STAGE)
    }

    fn declarations(&self, indent: &str) -> String {
        let mut out = String::new();
        for (name, colour) in [
            ("bg", self.bg),
            ("surface", self.surface),
            ("tint", self.tint),
            ("line", self.line),
            ("text", self.text),
            ("muted", self.muted),
            ("accent", self.accent),
            ("accent-edge", self.accent_edge),
            ("on-accent", self.on_accent),
            ("accent-text", self.accent_text),
        ] {
            let _ = writeln!(out, "{indent}--{name}: {};", colour.css());
        }
        out
    }
}

/// Whether a text is a colour in the one writing that is taken.
pub(super) fn is_colour(text: &str) -> bool {
    Rgb::parse(text).is_some()
}

/// The accent to work with; what can't be read as a colour gives way to a quiet blue.
pub(super) fn accent_or_default(text: &str) -> Rgb {
    Rgb::parse(text).unwrap_or(Rgb([0x1f, 0x5f, 0xbf]))
}

/// `theme.css`: the palette as custom properties, for the schemes the publisher allows, and `.on-stage`
/// for whatever stands in the dark room.
pub(super) fn theme_css(theme: &ThemeView) -> String {
    let accent = accent_or_default(&theme.accent);
    let (light, dark) = (Palette::light(accent), Palette::dark(accent));
    let mut css = String::from(
        "/* Made from the channel's theme; site.css takes every colour from here. */\n",
    );
    match theme.scheme.as_str() {
        "light" => {
            let _ = write!(
                css,
                ":root {{\n  color-scheme: light;\n{}}}\n",
                light.declarations("  ")
            );
        }
        "dark" => {
            let _ = write!(
                css,
                ":root {{\n  color-scheme: dark;\n{}}}\n",
                dark.declarations("  ")
            );
        }
        _ => {
            let _ = write!(
                css,
                ":root {{\n  color-scheme: light dark;\n{}}}\n@media (prefers-color-scheme: dark) {{\n  :root {{\n{}  }}\n}}\n",
                light.declarations("  "),
                dark.declarations("    "),
            );
        }
    }
    let stage = Palette::stage(accent);
    let _ = write!(
        css,
        ".on-stage {{\n  color-scheme: dark;\n{}}}\n",
        stage.declarations("  ")
    );
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_strictly() {
        assert_eq!(Rgb::parse("#c8102e"), Some(Rgb([0xc8, 0x10, 0x2e])));
        for bad in [
            "", "#", "#fff", "c8102e", "#c8102e;", "#+12345", "#ééé", "red",
        ] {
            assert_eq!(Rgb::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn oklch_and_back() {
        for colour in [
            [0, 0, 0],
            [255, 255, 255],
            [200, 16, 46],
            [1, 254, 127],
            [9, 9, 9],
        ] {
            assert_eq!(Rgb(colour).oklch().rgb(), Rgb(colour));
        }
        let contrast = Rgb::WHITE.contrast(Rgb([0; 3]));
        assert!((contrast - 21.0).abs() < 1e-9);
    }

    /// Every accent on a coarse grid of all colours, in all three palettes.
    #[test]
    fn any_accent_can_be_read() {
        let steps = [0_u8, 51, 102, 128, 153, 204, 255];
        for r in steps {
            for g in steps {
                for b in steps {
                    let accent = Rgb([r, g, b]);
                    for p in [
                        Palette::light(accent),
                        Palette::dark(accent),
                        Palette::stage(accent),
                    ] {
                        for ground in [p.bg, p.surface, p.tint] {
                            assert!(p.text.contrast(ground) >= 7.0, "{accent:?} text {p:?}");
                            assert!(p.muted.contrast(ground) >= 4.5, "{accent:?} muted {p:?}");
                            assert!(
                                p.accent_edge.contrast(ground) >= 3.0,
                                "{accent:?} edge {p:?}"
                            );
                            assert!(
                                p.accent_text.contrast(ground) >= 4.5,
                                "{accent:?} accent {p:?}"
                            );
                        }
                        assert!(
                            p.on_accent.contrast(p.accent) >= 4.5,
                            "{accent:?} button {p:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_scheme_can_be_fixed() {
        let theme = |scheme: &str| ThemeView {
            accent: "#c8102e".into(),
            scheme: scheme.into(),
        };
        let css = theme_css(&theme("auto"));
        assert!(
            css.contains("prefers-color-scheme: dark") && css.contains("color-scheme: light dark")
        );
        assert!(
            css.contains("--accent: #c8102e;"),
            "a good accent is left alone: {css}"
        );
        assert!(!theme_css(&theme("light")).contains("@media"));
        assert!(theme_css(&theme("dark")).contains("color-scheme: dark"));
        let odd = ThemeView {
            accent: "red;}*{display:none".into(),
            scheme: "auto".into(),
        };
        assert!(!theme_css(&odd).contains("display"));
    }
}
