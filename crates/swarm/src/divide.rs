//! The uplink divided over releases by marginal benefit: how much a byte sent into a swarm is worth to its peers.
//!
//! A piece that nobody has yet comes to everybody who waits for it; one of which there are plenty comes to one peer.
//! So a release whose first copies aren't out weighs more than one that lives by itself, and the more so the better
//! its peers pass on what they get. It does not weigh more for being large or for having many connections: a new
//! small release isn't starved by an old big one, and is done with its first copy soon.

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Distributed copies, in the world where there are fewer of those that have peers.
    pub copies: f64,
    /// Whether pieces are shown one by one somewhere.
    pub spreading: bool,
    /// How many peers want something of it.
    pub interested: usize,
    /// Bytes passed on for each byte sent ([`crate::spread::Spread::propagation`]).
    pub propagation: f64,
}

/// What a byte weighs that comes to one peer.
const ONE: f64 = 100.0;
/// What a byte weighs at most that many wait for.
const MOST: f64 = 1000.0;
/// Until nothing was passed on for so many parts of the release, peers are believed to pass on.
const TRUST: f64 = 0.5;

/// The weight of a release among others: 1 to 1000.
pub fn weight(standing: &Standing) -> u32 {
    if standing.interested == 0 {
        return 1;
    }
    if !standing.spreading {
        return ONE as u32;
    }
    // How much is lacking of two copies, after which peers can do without us.
    let lacking = (1.0 - standing.copies / 2.0).clamp(0.0, 1.0);
    // Each byte is passed on to so many, at most; more than a few make no difference to whose turn it is.
    let takers = (standing.interested as f64).min(MOST / ONE);
    let passes_on = (standing.propagation + TRUST).clamp(0.1, 1.0);
    let benefit = 1.0 + (takers - 1.0) * lacking * passes_on;
    ((ONE * benefit) as u32).clamp(1, MOST as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD_AND_BIG: Standing = Standing {
        copies: 40.0,
        spreading: false,
        interested: 4000,
        propagation: 3.0,
    };
    const NEW_AND_SMALL: Standing = Standing {
        copies: 0.0,
        spreading: true,
        interested: 12,
        propagation: 0.0,
    };

    #[test]
    fn what_is_scarce_goes_first() {
        let new = weight(&NEW_AND_SMALL);
        assert!(new > 4 * weight(&OLD_AND_BIG));
        let halfway = Standing {
            copies: 1.0,
            ..NEW_AND_SMALL
        };
        assert!((weight(&OLD_AND_BIG)..new).contains(&weight(&halfway)));
        let passing_on = Standing {
            propagation: 5.0,
            ..NEW_AND_SMALL
        };
        assert!(weight(&passing_on) > new);
        // A lone peer passes on to nobody.
        let lone = Standing {
            interested: 1,
            ..NEW_AND_SMALL
        };
        assert_eq!(weight(&lone), weight(&OLD_AND_BIG));
    }

    #[test]
    fn weights_stay_in_range() {
        for copies in [0.0, 0.5, 3.0, f64::INFINITY, f64::NAN] {
            for interested in [0, 1, 1_000_000] {
                for propagation in [0.0, 1e9, f64::NAN] {
                    for spreading in [false, true] {
                        let standing = Standing {
                            copies,
                            spreading,
                            interested,
                            propagation,
                        };
                        assert!((1..=1000).contains(&weight(&standing)), "{standing:?}");
                    }
                }
            }
        }
    }
}
