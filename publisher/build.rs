//! Tells cargo that the theme is part of the binary.

fn main() {
    for folder in ["templates", "css", "player"] {
        println!("cargo:rerun-if-changed=../site-template/{folder}");
    }
}
