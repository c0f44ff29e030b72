//! What crowds did, as a drawing: one panel a crowd, time in units of the bound.

use super::crowd::{Outcome, Progress};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const PANEL: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 46.0;
const PLOT: (f64, f64) = (760.0, 200.0);

/// Draws crowds one below the other, each under its title, as SVG.
pub fn draw(panels: &[(String, &Outcome)]) -> String {
    let longest = panels.iter().filter_map(|(_, outcome)| {
        let last = outcome.progress.last()?.at;
        Some(last / outcome.bound)
    });
    let span = longest.fold(1.25, f64::max) * 1.02;
    let height = PANEL * panels.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, (title, outcome)) in panels.iter().enumerate() {
        panel(&mut svg, PANEL * at as f64, title, outcome, span).expect("writing to a string");
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, y: f64, title: &str, outcome: &Outcome, span: f64) -> std::fmt::Result {
    let (width, height) = PLOT;
    let x_of = |at: f64| LEFT + at / outcome.bound / span * width;
    let y_of = |part: f64| y + TOP + height * (1.0 - part);
    let (left, right) = (LEFT, LEFT + width);
    writeln!(
        svg,
        "<text x=\"{left}\" y=\"{:.0}\" font-size=\"14\">{title}</text>",
        y + 24.0
    )?;
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let level = y_of(part);
        writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{level:.1}\" x2=\"{right}\" y2=\"{level:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            left - 6.0,
            level + 4.0,
            part * 100.0
        )?;
    }
    let floor = y_of(0.0);
    let ceiling = y_of(1.0);
    let mut mark = 0.0;
    while mark <= span {
        let x = x_of(mark * outcome.bound);
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark:.2}</text>",
            floor + 16.0
        )?;
        mark += 0.25;
    }
    let bound = x_of(outcome.bound);
    writeln!(
        svg,
        "<line x1=\"{bound:.1}\" y1=\"{ceiling:.1}\" x2=\"{bound:.1}\" y2=\"{floor:.1}\" stroke=\"black\" stroke-dasharray=\"4 3\"/>\
         <line x1=\"{left}\" y1=\"{floor:.1}\" x2=\"{bound:.1}\" y2=\"{ceiling:.1}\" stroke=\"black\" stroke-dasharray=\"1 3\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">bound</text>",
        bound,
        ceiling - 4.0
    )?;
    let mut legend = LEFT;
    for (name, colour, value) in [
        (
            "pieces everywhere",
            "#1b6ca8",
            (|p: &Progress| p.pieces) as fn(&Progress) -> f64,
        ),
        ("peers that are done", "#2a9d4a", |p| p.peers),
        ("pieces with somebody", "#c8553d", |p| p.out),
    ] {
        let mut points = String::new();
        for progress in &outcome.progress {
            write!(
                points,
                "{:.1},{:.1} ",
                x_of(progress.at),
                y_of(value(progress))
            )?;
        }
        let under = floor + 36.0;
        writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>\
             <line x1=\"{legend}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{:.1}\" y=\"{under:.1}\">{name}</text>",
            points.trim_end(),
            under - 4.0,
            legend + 20.0,
            under - 4.0,
            legend + 26.0
        )?;
        legend += 190.0;
    }
    writeln!(
        svg,
        "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">time, in units of the bound ({:.0} s)</text>",
        floor + 36.0,
        outcome.bound
    )
}
