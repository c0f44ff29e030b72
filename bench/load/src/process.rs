//! What `/proc` says of the measured processes: processor time and memory.

use std::io;

/// Ticks of `/proc/PID/stat` a second; fixed in the kernel's interface on every machine this is run on.
const TICKS: f64 = 100.0;

/// A process, or several that do one job together.
#[derive(Debug, Clone)]
pub struct Processes(pub Vec<u32>);

/// Their memory, KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident.
    pub rss: u64,
    /// Of it, what is not backed by a file.
    pub anonymous: u64,
}

impl Processes {
    /// Seconds of processor time of all their threads so far, in user mode and in the kernel.
    pub fn cpu(&self) -> io::Result<f64> {
        let mut ticks = 0.0;
        for pid in &self.0 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name may hold anything; what follows its last parenthesis is numbers.
            let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
            let numbers: Vec<f64> = numbers.split(' ').filter_map(|n| n.parse().ok()).collect();
            // The state is no number; utime and stime are fields 14 and 15 of proc(5), 11 and 12 of these.
            ticks += numbers.get(10).unwrap_or(&0.0) + numbers.get(11).unwrap_or(&0.0);
        }
        Ok(ticks / TICKS)
    }

    /// Memory now.
    pub fn memory(&self) -> io::Result<Memory> {
        let mut sum = Memory::default();
        for pid in &self.0 {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let kib = |key: &str| -> u64 {
                let line = status.lines().find_map(|line| line.strip_prefix(key));
                line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                    .unwrap_or(0)
            };
            sum.rss += kib("VmRSS:");
            sum.anonymous += kib("RssAnon:");
        }
        Ok(sum)
    }
}

/// Seconds that all cores together were not idle since the machine started.
pub fn machine_busy() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let numbers: Vec<f64> = first
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal …
    let busy = numbers.iter().take(8).sum::<f64>() - numbers.iter().skip(3).take(2).sum::<f64>();
    Ok(busy / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_time_and_memory() {
        let this = Processes(vec![std::process::id()]);
        let before = this.cpu().unwrap();
        while this.cpu().unwrap() < before + 0.02 {
            std::hint::black_box((0..10_000).fold(0_u64, |a, b| a ^ b));
        }
        let memory = this.memory().unwrap();
        assert!(
            memory.rss > 100 && memory.anonymous <= memory.rss,
            "{memory:?}"
        );
        assert!(machine_busy().unwrap() > 0.0);
    }
}
