//! `netsw`: joins network namespaces by links of a given shape, until its standard input is closed. Prints a line
//! `{"event":"ready"}`, then ten times a second what went over each link. See `netsw --help`.

use clap::Parser;
use std::net::Ipv4Addr;
use std::process::ExitCode;

/// Joins network namespaces (of `ip netns add`) by shaped links. Each gets a device `swarm0`; its address is set by
/// whoever runs this, once the ready line is there.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// A namespace and the address its packets come from
    #[arg(required = true, value_name = "NAMESPACE=IP", value_parser = host)]
    hosts: Vec<(String, Ipv4Addr)>,
    /// From each host, Mbit/s of IP packets
    #[arg(long, default_value_t = 16.0)]
    up: f64,
    /// To each host, Mbit/s of IP packets
    #[arg(long, default_value_t = 64.0)]
    down: f64,
    /// From one host to another, milliseconds
    #[arg(long, default_value_t = 10.0)]
    delay: f64,
    /// Longest wait for a turn on a link, milliseconds
    #[arg(long, default_value_t = 60.0)]
    queue: f64,
}

fn host(text: &str) -> Result<(String, Ipv4Addr), String> {
    let (name, address) = text.split_once('=').ok_or("not NAMESPACE=IP")?;
    let address = address.parse().map_err(|e| format!("{address}: {e}"))?;
    Ok((name.to_owned(), address))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn run(_: &Arguments) -> std::io::Result<()> {
    Err(std::io::Error::other("this runs on Linux alone"))
}

#[cfg(target_os = "linux")]
fn run(arguments: &Arguments) -> std::io::Result<()> {
    use load::switch::{LinkShape, Switch};
    use rustix::event::{PollFd, PollFlags, Timespec};
    use std::io::{ErrorKind, Read, Write};
    use std::time::{Duration, Instant};

    /// How often counts are told.
    const TELL: Duration = Duration::from_millis(100);

    let devices: Result<Vec<_>, _> = arguments
        .hosts
        .iter()
        .map(|(name, _)| load::tun::make(name))
        .collect();
    let devices = devices?;
    let addresses: Vec<_> = arguments
        .hosts
        .iter()
        .map(|(_, address)| *address)
        .collect();
    let milliseconds = |n: f64| Duration::from_secs_f64(n / 1e3);
    let shape = LinkShape {
        up: (arguments.up * 1e6) as u64,
        down: (arguments.down * 1e6) as u64,
        delay: milliseconds(arguments.delay),
        queue: milliseconds(arguments.queue),
    };
    let mut switch = Switch::new(shape, &addresses);
    let (mut input, mut out) = (std::io::stdin().lock(), std::io::stdout().lock());
    writeln!(out, "{{\"event\":\"ready\"}}")?;
    out.flush()?;
    let mut buffer = vec![0; 1 << 16];
    let mut tell = Instant::now() + TELL;
    loop {
        let now = Instant::now();
        let next = switch.next_timeout().map_or(tell, |at| at.min(tell));
        let wait = next.saturating_duration_since(now);
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.as_nanos().min(999_999_999) as _,
        };
        let mut waiting: Vec<_> = devices
            .iter()
            .map(|device| PollFd::new(device, PollFlags::IN))
            .collect();
        waiting.push(PollFd::new(&input, PollFlags::IN));
        rustix::event::poll(&mut waiting, Some(&wait))?;
        let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[devices.len()] && input.read(&mut buffer)? == 0 {
            return Ok(());
        }
        for (from, mut device) in devices.iter().enumerate().filter(|(from, _)| ready[*from]) {
            // Until there is none: what waits in the device would count as come when it is read.
            while let Ok(length) = device.read(&mut buffer) {
                switch.handle_packet(Instant::now(), from, &buffer[..length]);
            }
        }
        let now = Instant::now();
        while let Some((to, packet)) = switch.poll_arrival(now) {
            match (&devices[to]).write(&packet) {
                // A host whose device is down or full loses packets, as hosts do.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Other) => {}
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
        }
        if now >= tell {
            tell = now + TELL;
            let links: Vec<_> = switch
                .counts()
                .map(|c| {
                    serde_json::json!({
                        "up": c.up, "up_payload": c.up_payload,
                        "down": c.down, "down_payload": c.down_payload, "dropped": c.dropped,
                    })
                })
                .collect();
            writeln!(out, "{}", serde_json::json!({"links": links}))?;
            out.flush()?;
        }
    }
}
